"""A folder's manifest as a file: read strictly, bound by a digest of its own, naming every file of its folder.

Packages and exported folders share this. A manifest cannot hold the digest of its own bytes, so it holds that of what
it says otherwise (`bound`): canonical JSON, keys sorted, without that entry.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pipeline import WRITTEN_BY
from pipeline.config.errors import UserError
from pipeline.storage.digests import json_digest, sha256_of

MANIFEST = "manifest.json"
DIGEST = "manifest_sha256"
FIRST_VERSION = "dq-pipeline 0.1.0"  # wrote what does not say who wrote it
MAX_BYTES = 64 << 20  # of a file of JSON; a manifest has some hundred bytes for every matrix
SHA256 = re.compile(r"[0-9a-f]{64}")
AGAIN = "copy or export it again"
Earlier = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


def read_json(path: Path) -> Any:
    """What a file of JSON says, read strictly: UTF-8, no key twice, every number finite.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes")
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_without_repetition,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("lists in lists in lists") from None


def bound(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest that ends in the digest of all that it says otherwise.

    Raises:
        ValueError: a number in it is not finite.
    """
    said = {name: value for name, value in manifest.items() if name != DIGEST}
    return said | {DIGEST: json_digest(said, allow_nan=False)}


def write_bound(folder: Path, format_: str, said: Mapping[str, Any]) -> None:
    """Write the manifest of a folder whose other files are there.

    Args:
        folder: of what is written.
        format_: of the manifest.
        said: its other entries, but for digests.

    Raises:
        ValueError: a number in it is not finite.
    """
    manifest = {"format": format_, "written_by": WRITTEN_BY, **said, "sha256": folder_digests(folder)}
    (folder / MANIFEST).write_text(json.dumps(bound(manifest), indent=2), encoding="utf-8")


def read_bound(folder: Path, what: str, change: str, format_: str, earlier: Earlier) -> dict[str, Any]:
    """A manifest as this version would have written it; the files that it names are not looked at.

    Args:
        folder: where it lies.
        what: the folder should be, for people.
        change: what a person can do where it is none.
        format_: today's.
        earlier: formats that can still be read -> one step towards today's.

    Raises:
        UserError: no manifest, of another format, or changed.
    """
    path = folder / MANIFEST
    try:
        manifest = read_json(path)
    except (OSError, ValueError) as error:  # also text that is no UTF-8 or no JSON
        raise UserError(f"{folder} is not {what}: {error}", f"a folder with {MANIFEST}", change) from None
    kind = format_.partition("/")[0]
    if not isinstance(manifest, dict) or not str(manifest.get("format", "")).startswith(f"{kind}/"):
        raise UserError(f"{path} is not the manifest of {what}", f"format {format_}", change)
    # A digest counts under whatever format it stands: else another number of the format would hide a change.
    if (DIGEST in manifest or manifest["format"] == format_) and manifest.get(DIGEST) != bound(manifest)[DIGEST]:
        raise UserError(f"{path} has changed", f"what it said when it was written ({DIGEST})", AGAIN)
    manifest = as_written_today(manifest, earlier)
    check_format(manifest, path, format_, earlier)
    return manifest


def folder_digests(folder: Path) -> dict[str, str]:
    """The digest of every file of a folder but its manifest."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def check_files(folder: Path, digests: Any, needed: Collection[str], known: Collection[str] | None = None) -> None:
    """Check that a folder holds the files that its manifest names, unchanged, and nothing else.

    Args:
        folder: as said.
        digests: name -> SHA-256, as the manifest has it.
        needed: names that it must have.
        known: names that it may have besides; none: any.

    Raises:
        UserError: a name that is none of a file in the folder, no digest, a file that is missing, has changed, cannot
            be read, or that nobody has named.
    """
    path = folder / MANIFEST
    if not isinstance(digests, dict) or not digests:
        raise UserError(f"{path} lacks checksums", "a whole manifest", AGAIN)
    for name, digest in digests.items():
        # A manifest is read wherever it was written: a name may hold neither system's separators.
        if not re.fullmatch(r"(?!\.\.?$)[^/\\\0:]+", name) or name == MANIFEST or not _is_digest(digest):
            raise UserError(f"{path}: a checksum {digest!r} of {name!r}", "SHA-256 of files in the folder", AGAIN)
    if lacking := sorted(set(needed) - set(digests)):
        raise UserError(f"{path} names no {lacking[0]}", f"a folder with {', '.join(sorted(needed))}", AGAIN)
    if known is not None and (foreign := sorted(set(digests) - set(needed) - set(known))):
        raise UserError(f"{path} names {foreign[0]}, which has no place in it", "a whole manifest", AGAIN)
    for name, digest in digests.items():
        _check_file(folder / name, digest)
    if unlisted := sorted({entry.name for entry in folder.iterdir()} - {MANIFEST, *digests}):
        raise UserError(
            f"{folder / unlisted[0]} is not in its manifest",
            "the files that were written with it, and no others: each could change what the model says",
            "remove it from the folder, or copy the folder again",
        )


def _check_file(file: Path, digest: str) -> None:
    try:
        if file.is_file() and sha256_of(file) == digest:
            return
        state = "has changed" if file.is_file() else "is missing"
    except OSError as error:
        state = f"cannot be read: {error.strerror}"
    raise UserError(f"{file} {state}", "files as they were exported (SHA-256)", AGAIN)


def as_written_today(manifest: dict[str, Any], earlier: Earlier) -> dict[str, Any]:
    """A manifest of an earlier format as this version would have written it, step by step; others as they are.

    Args:
        manifest: as it was read.
        earlier: formats that can still be read -> one step towards today's.
    """
    while (step := earlier.get(str(manifest.get("format")))) is not None:
        manifest = step(manifest)
    return manifest


def check_format(manifest: Mapping[str, Any], path: Path, format_: str, earlier: Earlier) -> None:
    """Check that a manifest is of today's format and says who wrote it.

    Raises:
        UserError: of another one, or nobody wrote it.
    """
    writer = manifest.get("written_by")
    if manifest.get("format") != format_:
        found, readable = manifest.get("format"), ", ".join((format_, *earlier))
        change = "use the version that wrote it" + (f", {writer}" if isinstance(writer, str) else "")
        raise UserError(f"format '{found}' in {path}", readable, change)
    if not isinstance(writer, str):
        raise UserError(f"{path} lacks 'written_by'", "a whole manifest", "export it again")


def difference(said: Any, meant: Any, where: str = "") -> str | None:
    """Where plain data differ, if they do: `True` is no number, `1` is `1.0`, and nothing may be missing.

    Args:
        said: as it was read.
        meant: what it was taken for.
        where: the name of the whole.
    """
    if isinstance(said, dict) and isinstance(meant, dict):
        if names := sorted(map(str, said.keys() ^ meant.keys())):
            return f"{where}.{names[0]}".removeprefix(".")
        found = (difference(said[name], meant[name], f"{where}.{name}".removeprefix(".")) for name in meant)
        return next((one for one in found if one is not None), None)
    if isinstance(said, list) and isinstance(meant, list) and len(said) == len(meant):
        found = (difference(*both, f"{where}[{i}]") for i, both in enumerate(zip(said, meant, strict=True)))
        return next((one for one in found if one is not None), None)
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (said, meant)]
    alike = all(numbers) or type(said) is type(meant)
    return None if alike and said == meant else where


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key twice")
    return made


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:40]} is too large")
    return number
