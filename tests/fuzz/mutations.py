"""Bytes and folders with one thing changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz.differences import Difference, difference
from fuzz.json_values import changed_json

# Contents by their names; none: a folder stands there; a path: a link to it.
Files = dict[str, bytes | Path | None]
GARBAGE = (
    b"\0" * 64,
    b"\xff" * 64,
    b"\x80\x81",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\r\n",
    b"\n\n",
    b'"',
    b"{",
    b"PK\x05\x06",
)
ADDED = {
    "added_tokens.json": b'{"<new>": 5, "red": 9, "the": 3}',
    "special_tokens_map.json": b'{"eos_token": "<pad>", "bos_token": "<unk>", "pad_token": "</s>"}',
    "generation_config.json": b'{"max_length": 3, "num_beams": 7, "forced_bos_token_id": 9}',
    "tokenizer.model": b"\x0a\x0b",
    "vocab.json": b'{"a": 0}',
    "chat_template.jinja": b"{{ messages }}",
    "adapter_config.json": b'{"base_model_name_or_path": "nobody/nothing"}',
    "pytorch_model.bin": b"\x80\x02K\x01.",
    "model-00001-of-00002.safetensors": b"\0" * 8,
    "target_tokenizer.json": b"{}",
    "speed.onnx": b"\x08\x0a",
    "README.md": b"read me\n",
    ".hidden": b"x",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was done to the files of a folder.

    Args:
        what: for people.
        files: as they are now.
        kind: bytes, json, added, removed, swapped, taken, kind.
        name: of the file that it concerns.
    """

    what: str
    files: Files
    kind: str
    name: str

    def difference(self, before: Mapping[str, bytes]) -> Difference | None:
        """What differs in a document, if it was one and is one, however it was changed.

        Args:
            before: the files as they were.
        """
        content = self.files.get(self.name)
        if not isinstance(content, bytes):
            return None
        try:
            return difference(json.loads(before[self.name]), json.loads(content))
        except (KeyError, ValueError, RecursionError):
            return None


def changed_bytes(data: bytes, rng: Random) -> tuple[str, bytes]:
    """Bytes that differ: flipped, cut, doubled, overwritten, with something between."""
    place = rng.randrange(len(data) + 1)
    end = min(len(data), place + rng.choice([1, 2, 7, 64, 500]))
    way = rng.choice(
        ["flip"] * 6 + ["cut", "cut the front", "leave out", "zero", "insert", "repeat", "empty", "append"]
    )
    if way == "flip" and data:
        changed, bits = bytearray(data), rng.choice([1, 1, 1, 2, 8])
        places = [rng.randrange(len(data)) for _ in range(bits)]
        for index in places:
            changed[index] ^= 1 << rng.randrange(8)
        return f"{bits} bits flipped, the first in byte {places[0]}", bytes(changed)
    garbage = rng.choice(GARBAGE)
    ways = {
        "flip": garbage,
        "cut": data[:place],
        "cut the front": data[place:],
        "leave out": data[:place] + data[end:],
        "zero": data[:place] + bytes(end - place) + data[end:],
        "insert": data[:place] + garbage + data[place:],
        "repeat": data[:end] + data[place:],
        "empty": b"",
        "append": data + garbage,
    }
    return f"{way} at byte {place} of {len(data)}", ways[way]


def changed_files(files: Mapping[str, bytes], others: Sequence[Mapping[str, bytes]], rng: Random) -> Change:
    """A folder with one file changed, or one more, or one less.

    Args:
        files: the folder.
        others: folders of the same kind, that files may be taken from.
        rng: draws.
    """
    name, now = rng.choice(sorted(files)), dict[str, Any](files)
    documents = [one for one in sorted(files) if one.endswith(".json")]
    way = rng.choice(["bytes"] * 5 + ["json"] * 8 + ["added", "removed", "swapped", "taken", "kind"])
    if way == "json" and documents:
        name = rng.choice(documents)
        document = changed_json(files[name].decode(), rng)
        if document is not None:
            what, text = document
            now[name] = text.encode("utf-8", "surrogatepass")
            return Change(what=f"{name}: {what}", files=now, kind="json", name=name)
    if way == "added":
        name = rng.choice(list(ADDED))
        now[name] = ADDED[name]
        return Change(what=f"{name} added", files=now, kind="added", name=name)
    if way == "removed":
        del now[name]
        return Change(what=f"{name} removed", files=now, kind="removed", name=name)
    if way == "swapped":
        other = rng.choice(sorted(files))
        now[name], now[other] = now[other], now[name]
        return Change(what=f"{name} and {other} swapped", files=now, kind="swapped", name=name)
    if way == "taken" and others:
        now[name] = rng.choice(others).get(name, b"")
        return Change(what=f"{name} of another one", files=now, kind="taken", name=name)
    if way == "kind":
        to: Any = rng.choice([None, Path(name), Path("/etc/passwd"), Path("nowhere")])
        now[name] = to
        return Change(
            what=f"{name} is {'a folder' if to is None else f'a link to {to}'}", files=now, kind="kind", name=name
        )
    what, now[name] = changed_bytes(files[name], rng)
    return Change(what=f"{name}: {what}", files=now, kind="bytes", name=name)


def write(files: Mapping[str, bytes | Path | None], folder: Path) -> Path:
    """Write files into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their relative names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
