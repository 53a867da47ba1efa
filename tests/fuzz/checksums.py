"""Checksums made again after a change, so that what they guard is read and not only compared.

Nothing is known of who writes them: wherever a text holds the SHA-256 of a file as it was, it gets that of the file as
it is, and where a document has a list of them under `sha256`, files that came or went come or go there. A document that
ends with the digest of what it says otherwise gets that of what it says now.
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
        for name in texts:
            if isinstance(content := now.get(name), bytes):
                replaced = DIGEST.sub(lambda found, new=new: new.get(found[0], found[0]), content)
                now[name] = _bound_anew(before[name], replaced)
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


def _bound_anew(before: bytes, now: bytes) -> bytes:
    """A document with the digest of what it says now, if it had one of what it said."""
    try:
        old, document = json.loads(before), json.loads(now)
        names = [name for name, value in old.items() if value in _canonical_digests(old, name)]
        for name in names:
            place = _canonical_digests(old, name).index(old[name])
            if isinstance(document.get(name), str):
                document[name] = _canonical_digests(document, name)[place]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return now
    return json.dumps(document, indent=2).encode() if names else now


def _canonical_digests(document: dict[str, Any], own: str) -> list[str]:
    """What a document without one of its entries may be digested to: keys sorted, with and without spaces."""
    said = {name: value for name, value in document.items() if name != own}
    texts = [json.dumps(said, sort_keys=True, separators=form) for form in ((",", ":"), (", ", ": "))]
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _digest(content: bytes | Path | None) -> bytes:
    assert isinstance(content, bytes)
    return hashlib.sha256(content).hexdigest().encode()
