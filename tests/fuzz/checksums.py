"""Checksums made again after a change, so that what they guard is read and not only compared.

Nothing is known of who writes them: wherever a text holds the SHA-256 of a file as it was, it gets that of the file as
it is, and where a document has a list of them under `sha256`, files that came or went come or go there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fuzz.mutations import Files

DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")
ROUNDS = 4  # a document with checksums may have one of its own elsewhere


def made_again(before: Mapping[str, bytes], after: Files) -> Files:
    """The files with checksums that fit."""
    texts = {name: content for name, content in before.items() if DIGEST.search(content)}
    now = dict(after)
    for name in texts:
        if isinstance(content := now.get(name), bytes):
            now[name] = _listed(content, before, now, name)
    known = {name: _digest(content) for name, content in before.items()}
    for _ in range(ROUNDS):
        new = {digest: _digest(now[name]) for name, digest in known.items() if isinstance(now.get(name), bytes)}
        if all(old == digest for old, digest in new.items()):
            break
        for name in texts:
            if isinstance(content := now.get(name), bytes):
                now[name] = DIGEST.sub(lambda found, new=new: new.get(found[0], found[0]), content)
        known = {name: new.get(digest, digest) for name, digest in known.items()}
    return now


def _listed(content: bytes, before: Mapping[str, bytes], now: Files, own: str) -> bytes:
    """A document whose list names the files that are there."""
    came = {name for name in now if name not in before and isinstance(now[name], bytes)}
    went = {name for name in before if name not in now}
    if not came | went:
        return content
    try:
        document: Any = json.loads(content)
        listed = document["sha256"]
        document["sha256"] = {name: value for name, value in listed.items() if name not in went}
        document["sha256"] |= {name: _digest(now[name]).decode() for name in came - {own}}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return content
    return json.dumps(document, indent=2).encode()


def _digest(content: bytes | Path | None) -> bytes:
    assert isinstance(content, bytes)
    return hashlib.sha256(content).hexdigest().encode()
