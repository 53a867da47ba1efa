"""Two folders have one identity if, and only if, they hold the same; the usual ones keep that of earlier versions."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repository import ROOT

from pipeline.storage.identity import identity_of


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def safetensors(data: bytes) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return len(header).to_bytes(8, "little") + header + data


def without_lengths(files: list[Path]) -> str:
    """What earlier versions took."""
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_model_of_this_repository_keeps_its_identity() -> None:
    """So the teachers that were made of it are found; who changes this line trains them all again."""
    files = sorted(path for path in (ROOT / "pipeline" / "models" / "seed").iterdir() if path.is_file())
    assert identity_of(files) == without_lengths(files)


PLAIN = {"config.json": b'{"a": 1}\n', "model.safetensors": safetensors(b"abc"), "tokenizer.json": b"{}"}


@pytest.mark.parametrize(
    ("changed", "is_plain"),
    [
        ({}, True),
        ({"merges.txt": b"a b"}, False),
        ({"config.json": b"[1]"}, False),
        ({"config.json": b' {"a": 1}'}, False),
        ({"config.json": b'{"a": 1} {'}, False),
        ({"config.json": '{"a": 1}'.encode("utf-16")}, False),
        ({"config.json": b"{" * 100_000}, False),
        ({"model.safetensors": safetensors(b"abc") + b"d"}, False),
        ({"model.safetensors": b"abc"}, False),
        ({"model.safetensors": (2).to_bytes(8, "little") + b"[]"}, False),
        ({"model.safetensors": (1 << 60).to_bytes(8, "little")}, False),
        ({"a b.json": b"{}"}, False),
        ({"\u00e9.json": b"{}"}, False),
    ],
)
def test_lengths_are_left_out_where_every_file_says_its_end(
    tmp_path: Path, changed: dict[str, bytes], is_plain: bool
) -> None:
    """JSON objects and safetensors, under plain names; whatever else there is gets lengths."""
    files = written(tmp_path / "folder", PLAIN | changed)
    assert (identity_of(files) == without_lengths(files)) == is_plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": b"b", "c": b"d"}, {"a": b"bcd"}),
        ({"a.txt": b"x", "b.txt": b"y"}, {"a.txt": b"xb.txty"}),
        ({"a.json": b"{}", "b.json": b"{}"}, {"a.json": b"{}b.json{}"}),
        ({"a": b"", "b": b""}, {"ab": b""}),
        ({"m.safetensors": safetensors(b""), "n.json": b"{}"}, {"m.safetensors": safetensors(b"") + b"n.json{}"}),
    ],
)
def test_a_name_or_a_content_never_runs_into_the_next(
    tmp_path: Path, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    """All of these are one text without lengths."""
    files = [written(tmp_path / name, folder) for name, folder in (("one", one), ("other", other))]
    assert without_lengths(files[0]) == without_lengths(files[1])
    assert identity_of(files[0]) != identity_of(files[1])


NAMES = st.sampled_from(["a", "b", "a.json", "b.json", "a.json{}b.json", "a.safetensors", "c"])
CONTENTS = st.sampled_from([b"", b"{}", b"a", b"b", b"{}b.json{}", b"{}c", safetensors(b""), safetensors(b"a.json{}")])


@given(st.lists(st.dictionaries(NAMES, CONTENTS, max_size=3), min_size=2, max_size=6))
def test_equal_identities_are_equal_folders(
    tmp_path_factory: pytest.TempPathFactory, folders: list[dict[str, bytes]]
) -> None:
    """Of pieces that fit together in many ways."""
    root = tmp_path_factory.mktemp("folders")
    identities = [identity_of(written(root / str(number), files)) for number, files in enumerate(folders)]
    for (one, first), (other, second) in itertools.combinations(zip(folders, identities, strict=True), 2):
        assert (one == other) == (first == second)
