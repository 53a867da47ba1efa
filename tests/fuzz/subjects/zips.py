"""Zips of exported folders: what is in one changes, or the zip itself, entry by entry and byte by byte."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzz.case import Case, Subject
from fuzz.mutations import Files, changed_bytes
from fuzz.subjects import exports
from pipeline.runtime.archive import opened
from pipeline.runtime.manifest import MANIFEST

OUTSIDE = ("/etc/fuzzed", "../fuzzed", "a/../../fuzzed", "..\\fuzzed", "C:\\fuzzed", "\\fuzzed", "./../fuzzed", "a:b")
ODD_NAMES = (".", "/", "a//b", "x" * 5000, "ü", "\u202e", "manifest.json/", "manifest.json/a", "CON", "a\nb")
ODD_NAMES += ("a/" * 300,)
HUGE = 1 << 30
Exports = list[tuple[dict[str, bytes], dict[str, Any]]]  # files, each with what they say


def prepare(folder: Path) -> tuple[Exports, bytes]:
    """Exported folders, and a GiB of nothing."""
    return exports.prepare(folder), _zeros()


def case(made: tuple[Exports, bytes], rng: Random, folder: Path) -> Case:
    """A zip with something changed inside or outside."""
    (good, zeros), path, is_unseen = made, folder / "exported.zip", None
    if rng.random() < 0.3:
        number, answer, change, files, note = exports.changed_export(good, rng)
        path.write_bytes(zipped(files, rng))
        what, is_unseen = f"{change.what}{note}", exports.unseen(change, good[number][0], is_remade=bool(note))
    else:
        number = rng.randrange(len(good))
        whole, answer = good[number]
        way = rng.choice([*WAYS, *[_bytes] * 6, None])
        what, content = _bomb(zeros, dict(whole)) if way is None else way(dict(whole), rng)
        path.write_bytes(content)
    return Case(
        change=f"export {number}: {what}",
        call=lambda: _said(path, folder),
        expected=(answer,),
        is_unseen=is_unseen or (lambda answer: False),
    )


def _said(path: Path, folder: Path) -> dict[str, Any]:
    with opened(path) as unpacked:
        answer = exports.said(unpacked)
    beside = {left.name for left in (*folder.iterdir(), *folder.parent.iterdir(), *Path("/etc").glob("fuzzed"))}
    assert beside.isdisjoint({"fuzzed"}), "a file outside of the folder"
    return answer


def zipped(files: Files, rng: Random, prefix: str = "") -> bytes:
    """The zip of a folder, packed in any of the usual ways."""
    packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packing) as file:
        for name, data in files.items():
            if isinstance(data, bytes):
                file.writestr(prefix + name, data)
            elif data is None:
                file.writestr(f"{prefix}{name}/", b"")
            else:
                file.writestr(_link(prefix + name), str(data))
    return content.getvalue()


def _link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def _with_entry(files: Files, rng: Random, entry: str | zipfile.ZipInfo, data: bytes) -> bytes:
    content = io.BytesIO(zipped(files, rng))
    with zipfile.ZipFile(content, "a") as file:
        file.writestr(entry, data)
    return content.getvalue()


def _bytes(files: Files, rng: Random) -> tuple[str, bytes]:
    what, content = changed_bytes(zipped(files, rng), rng)
    return f"zip: {what}", content


def _directory(files: Files, rng: Random) -> tuple[str, bytes]:
    """The list of entries at the end: names, sizes, ways to pack."""
    content = bytearray(zipped(files, rng))
    start = content.index(b"PK\x01\x02")
    place = rng.randrange(start, len(content))
    content[place] = rng.choice([0, 1, 255, content[place] ^ 1, content[place] ^ 128])
    return f"byte {place - start} of the directory changed", bytes(content)


def _header(files: Files, rng: Random) -> tuple[str, bytes]:
    """What stands before the data of an entry."""
    content = bytearray(zipped(files, rng))
    starts = [index for index in range(len(content)) if content.startswith(b"PK\x03\x04", index)]
    place = rng.choice(starts) + rng.randrange(30)
    content[place] = rng.choice([0, 1, 255, content[place] ^ 1, content[place] ^ 128])
    return f"byte {place} in a header changed", bytes(content)


def _outside(files: Files, rng: Random) -> tuple[str, bytes]:
    name = rng.choice(OUTSIDE)
    return f"an entry {name}", _with_entry(files, rng, name, b"x")


def _odd_name(files: Files, rng: Random) -> tuple[str, bytes]:
    name = rng.choice(ODD_NAMES)
    return f"an entry {name[:40]!r}", _with_entry(files, rng, name, b"x")


def _linked(files: Files, rng: Random) -> tuple[str, bytes]:
    name, to = rng.choice([*files, "more"]), rng.choice(["/etc/passwd", "..", MANIFEST, "."])
    return f"a link {name} to {to}", _with_entry(
        {k: v for k, v in files.items() if k != name}, rng, _link(name), to.encode()
    )


def _twice(files: Files, rng: Random) -> tuple[str, bytes]:
    name = rng.choice(list(files))
    what, data = changed_bytes(files[name] or b"", rng)  # type: ignore[arg-type]
    return f"{name} twice, then {what}", _with_entry(files, rng, name, data)


def _locked(files: Files, rng: Random) -> tuple[str, bytes]:
    """As if there were a password."""
    content = bytearray(zipped(files, rng))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    return "an entry with a password", bytes(content)


def _nested(files: Files, rng: Random) -> tuple[str, bytes]:
    prefix = rng.choice(["model/", "a/b/", "./", " /", "__MACOSX/"])
    return f"all in {prefix}", zipped(files, rng, prefix)


def _several(files: Files, rng: Random) -> tuple[str, bytes]:
    content = io.BytesIO(zipped(files, rng, "b/"))
    with zipfile.ZipFile(content, "a") as file:
        file.writestr("a/" + MANIFEST, b"{}")
    return "two folders with a manifest", content.getvalue()


def _zeros() -> bytes:
    """A zip with one entry, `padding`, of a GiB of nothing: a MiB."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("padding", "w", force_zip64=True) as entry,
    ):
        for _ in range(HUGE >> 20):
            entry.write(bytes(1 << 20))
    return content.getvalue()


def _bomb(zeros: bytes, files: Files) -> tuple[str, bytes]:
    content = io.BytesIO(zeros)
    with zipfile.ZipFile(content, "a") as file:
        for name, data in files.items():
            file.writestr(name, data if isinstance(data, bytes) else b"")
    return "a GiB of nothing beside the model", content.getvalue()


def _many(files: Files, rng: Random) -> tuple[str, bytes]:
    content = io.BytesIO(zipped(files, rng))
    with zipfile.ZipFile(content, "a") as file:
        for index in range(500):
            file.writestr(f"{index}", b"")
    return "500 files beside the model", content.getvalue()


def _zip_of_zip(files: Files, rng: Random) -> tuple[str, bytes]:
    return "a zip of a zip", zipped({"exported.zip": zipped(files, rng)}, rng)


def _behind(files: Files, rng: Random) -> tuple[str, bytes]:
    return "something in front of the zip", b"#!/bin/sh\nexit\n" + zipped(files, rng)


WAYS: tuple[Callable[[Files, Random], tuple[str, bytes]], ...] = (
    *(_directory, _directory, _header, _header, _outside, _odd_name, _linked, _twice, _locked, _nested, _several),
    *(_many, _zip_of_zip, _behind),
)
SUBJECT = Subject(name="zips", prepare=prepare, case=case)
