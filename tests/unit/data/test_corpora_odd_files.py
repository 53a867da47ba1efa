"""Whatever lies in a file of data is an example or refused in a paragraph; nothing else happens."""

import gzip
import io
import json
import lzma
import os
import tempfile
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import NUMBERS, TEXTS

from pipeline.config.errors import SHOWN_CHARACTERS, UserError
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.corpora import load_corpus
from pipeline.data.json_file import MOST_LEVELS
from pipeline.data.labels import labels_of

SPLITS = ("train", "validation", "test")
GOOD = '{"source": "a", "target": "b"}'
CELLS = st.sampled_from([*TEXTS, *NUMBERS[:12], '"a"', 'a"b', '"a', "a,b", "a\tb", '["a"]', "x" * 70_000]) | st.text(
    max_size=6
)
JSON = [
    '""',
    '"a"',
    '"\\ud800"',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    "null",
    "true",
    "[]",
    "{}",
    "[[]]",
    '["a", null]',
    "[1]",
]
JSON += [
    '{"a": 1}',
    '[{"a": "x"}]',
    "NaN",
    "Infinity",
    "-0",
    "0.0",
    "01",
    "+1",
    ".5",
    "1.",
    "'a'",
    '"\x01"',
    "undefined",
]
JSON += [
    '{"a": 1, "a": 2}',
    "[" * 150 + "]" * 150,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 940 + "1" + "}" * 940,
    *NUMBERS[:9],
]
NAMES = st.sampled_from(["source", "target", "second", "refs", "a.b", ""])
VALUES = st.sampled_from(JSON) | CELLS.map(json.dumps)
OBJECTS = st.just(GOOD) | VALUES.map('{{"source": "a", "target": {}}}'.format)
OBJECTS |= st.lists(st.builds('"{}": {}'.format, NAMES, VALUES), max_size=3).map(
    lambda pairs: f"{{{', '.join(pairs)}}}"
)
SPOILT = [
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3",
    b"\xed\xa0\x80",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"{",
    b"[",
    b"\x1a",
]


@st.composite
def spoilt(draw, contents):
    """Some bytes cut off, or put in where they do not belong; often none."""
    content = draw(contents)
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    place = draw(st.integers(0, len(content)))
    match draw(st.sampled_from(["whole", "whole", "whole", "cut", "more"])):
        case "cut":
            return content[:place]
        case "more":
            return content[:place] + draw(st.sampled_from(SPOILT)) + content[place:]
    return content


ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
LISTS = st.lists(OBJECTS, max_size=4)
COLUMNS = st.builds('{{"source": {}, "target": {}}}'.format, VALUES, VALUES)
LINES = st.builds(lambda end, rows: end.join([GOOD, *rows]), ENDS, LISTS)
MARKS = st.sampled_from([",", ";", "\t", "|"])
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=4)
HEADS = st.sampled_from(
    [["source", "target"], ["source", "target"], ["source", "source"], ["source", ""], ['"source"', '"target"']]
)
TABLES = st.builds(
    lambda mark, end, head, rows: end.join(mark.join(row) for row in [head, *rows]),
    MARKS,
    st.sampled_from(["\n", "\r\n", "\r"]),
    HEADS,
    ROWS | ROWS.map(lambda rows: [[*row, "a", "b"][:2] for row in rows]),
)
ARRAYS = {
    "text": pyarrow.array(["a", "b", None]),
    "large text": pyarrow.array(["a", "b", "c"], pyarrow.large_string()),
    "bytes": pyarrow.array([b"a", b"\xff", b""]),
    "no UTF-8": pyarrow.StringArray.from_buffers(3, *pyarrow.array([b"a", b"\xff", b"c"]).buffers()[1:]),
    "numbers": pyarrow.array([1, -1, None]),
    "more numbers": pyarrow.array([1.5, float("nan"), float("inf")]),
    "truth values": pyarrow.array([True, False, None]),
    "lists": pyarrow.array([["a"], [], None]),
    "records": pyarrow.array([{"a": "x"}, None, {"a": None}]),
    "paths": pyarrow.array([{"bytes": None, "path": "/etc/passwd"}] * 3),
    "maps": pyarrow.array([[("a", 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "a dictionary": pyarrow.array(["a", "b", None]).dictionary_encode(),
    "times": pyarrow.array([1, 2, None], pyarrow.timestamp("ns", tz="Nowhere/X")),
    "long times": pyarrow.array([1, 2**62, None], pyarrow.duration("s")),
    "decimals": pyarrow.array([1, 2, None], pyarrow.decimal128(10, 2)),
    "nothing": pyarrow.nulls(3),
    "views": pyarrow.array(["a", "b", None], pyarrow.string_view()),
}
TYPES = ["Image", "Audio", "Video", "Pdf", "ClassLabel", "Value", "List", "Translation", "Array2D", "Nothing"]
TOLD = [{}, {"names": ["a", "b"]}, {"names": [1]}, {"names": 5}, {"dtype": "string"}, {"dtype": "nothing"}]
TOLD += [{"feature": {"_type": "Image"}}]
FEATURES = st.builds(lambda kind, rest: {"_type": kind, **rest}, st.sampled_from(TYPES), st.sampled_from(TOLD))
FEATURES |= st.sampled_from([5, None, "x", [], {}])


@st.composite
def parquet(draw):
    """A table of odd columns, whose metadata say other odd things of them."""
    arrays = st.sampled_from(list(ARRAYS.values()))
    columns = {"source": draw(st.just(ARRAYS["large text"]) | arrays), "target": draw(arrays), "x": draw(arrays)}
    table = pyarrow.table(columns)
    if draw(st.booleans()):
        features = draw(st.dictionaries(st.sampled_from(["source", "target", "nothing"]), FEATURES))
        told = draw(spoilt(st.just(json.dumps({"info": {"features": features}}))))
        table = table.replace_schema_metadata({b"huggingface": told})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


FORMATS = {
    ".jsonl": LINES,
    ".json": LINES | COLUMNS | LISTS.map(lambda rows: f"[{', '.join(rows)}]"),
    ".csv": TABLES,
    ".tsv": TABLES,
    ".txt": st.lists(CELLS, max_size=4).map("\n".join),
    ".parquet": parquet(),
}
PACKED = {"": lambda content: content, ".gz": gzip.compress, ".xz": lzma.compress}


def answer(folder, name, objective="supervised", shares=None, **corpus):
    """What the examples of a file are answered with: themselves, or the refusal; anything else is raised."""
    try:
        if name.split(".")[1] == "txt":
            objective, corpus = "masked_lm", {"source_column": "text", "target_column": "text"}
        settings = CorpusConfig(kind="files", files=dict.fromkeys(SPLITS, name), **corpus)
        metric = "accuracy" if objective == "classification" else "rouge"
        task = TaskConfig(objective=objective, metric=metric, corpus=settings)
        loaded = load_corpus(task, str(folder), folder / "cache", shares)
        labels_of(loaded, task)
        return [row for split in loaded.splits.values() for row in split.to_list()]
    except UserError as error:
        assert str(error).encode() and "\0" not in str(error)
        assert all(len(str(one)) < 4 * SHOWN_CHARACTERS for one in error.errors)
        return error


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("suffix", FORMATS)
@given(data=st.data())
@settings(max_examples=60)
def test_a_file_gives_examples_or_a_refusal(folder, suffix, data):
    """Of every format, packed or not, whole or spoilt, as texts and as labels."""
    packing = data.draw(st.just("") if suffix == ".parquet" else st.sampled_from(["", "", "", ".gz", ".xz"]))
    packed = PACKED[packing](data.draw(spoilt(FORMATS[suffix])))
    (folder / f"a{suffix}{packing}").write_bytes(data.draw(spoilt(st.just(packed))) if packing else packed)
    objective = data.draw(st.sampled_from(["supervised", "classification"]))
    corpus = data.draw(st.sampled_from([{}, {}, {"second_column": "second"}, {"source_column": "a.b"}]))
    answered = answer(folder, f"a{suffix}{packing}", objective, **corpus)
    if not isinstance(answered, UserError):
        texts = [text for row in answered for text in row.values() if isinstance(text, str)]
        assert texts and all("\0" not in text and text.encode() is not None for text in texts)


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize("nest", ["{}", "[]", "{[]}"])
@pytest.mark.parametrize("num_levels", [MOST_LEVELS - 2, MOST_LEVELS + 2, 400, 940, 980])
def test_a_deep_nest_is_refused_wherever_it_lies(folder, suffix, nest, num_levels):
    """Also in a column that nobody asks for: rows are looked through for names of columns."""
    opening, closing = {"{}": ('{"a":', "}"), "[]": ("[", "]"), "{[]}": ('{"a":[', "]}")}[nest]
    number = num_levels // len(nest.replace("}", "").replace("]", ""))
    (folder / f"n{suffix}").write_text(f'{{"source": "a", "target": "b", "x": {opening * number}1{closing * number}}}')
    answered = answer(folder, f"n{suffix}")
    assert isinstance(answered, UserError) == (num_levels > MOST_LEVELS)
    assert isinstance(answer(folder, f"n{suffix}", target_column="x" + ".a" * num_levels), UserError)


@pytest.mark.parametrize("kind", ["Image", "Audio", "Video", "Pdf"])
@pytest.mark.parametrize("origin", ["a file", "a folder"])
def test_metadata_open_no_path(tmp_path, monkeypatch, kind, origin):
    """A column that metadata call an image is what lies in the table: a text is a text, a record is none."""
    monkeypatch.setattr(getattr(datasets, kind), "decode_example", lambda *_: pytest.fail("it was opened"))
    told = {"info": {"features": {"source": {"_type": kind}, "target": {"_type": "Value", "dtype": "string"}}}}
    for path, stored in (("/etc/passwd", "a text"), ({"bytes": None, "path": "/etc/passwd"}, "a record")):
        table = pyarrow.table({"source": [path] * 3, "target": ["a"] * 3})
        table = table.replace_schema_metadata({b"huggingface": json.dumps(told).encode()})
        for split in SPLITS:
            pyarrow.parquet.write_table(table, tmp_path / f"{split}.parquet")
        answered = answer(tmp_path, "train.parquet") if origin == "a file" else from_folder(tmp_path)
        assert ("(dict)" in str(answered)) == (stored == "a record")
        assert isinstance(answered, UserError) or answered[0]["source"] == "/etc/passwd"


def from_folder(folder, cache=None):
    """The training split of a folder that is read as the hub's are, or the refusal."""
    try:
        task = TaskConfig(corpus=CorpusConfig(kind="hub", name=str(folder)))
        return load_corpus(task, "", cache or folder.parent / "cache").splits["train"].to_list()
    except UserError as error:
        return error


def test_a_folder_whose_files_changed_is_read_anew(tmp_path):
    """Equal names, sizes and times are no equal content; nothing is left where it was read."""
    (tmp_path / "mine").mkdir()
    for text in ("a", "z"):
        for split in SPLITS:
            path = tmp_path / "mine" / f"{split}.jsonl"
            path.write_text(f'{{"source": "{text}", "target": "b"}}\n')
            os.utime(path, (1e9, 1e9))
        assert [row["source"] for row in from_folder(tmp_path / "mine", tmp_path / "cache")] == [text]
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("path", ["../other.jsonl", "{}/other.jsonl", "file://{}/other.jsonl"])
def test_a_folder_names_no_files_of_others(tmp_path, path):
    """Its README may name any."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "other.jsonl").write_text(GOOD)
    files = "".join(f"  - split: {split}\n    path: {path.format(tmp_path)}\n" for split in SPLITS)
    (tmp_path / "mine" / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
    assert "other.jsonl' as its data" in str(from_folder(tmp_path / "mine"))


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".jsonl", "a/" * 3000 + "a.jsonl", "folder.jsonl", "empty.jsonl", "loop.jsonl", "pipe.jsonl"]
)
def test_what_is_no_readable_file_is_refused(tmp_path, name):
    """A name or a path that no file system takes, a folder, nothing, a link to itself, a pipe."""
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert isinstance(answer(tmp_path, name), UserError)


@pytest.fixture
def nobody():
    """A folder that everybody may enter, seen by somebody who owns nothing in it: the superuser may read everything."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder), lambda: os.seteuid(65534 if user == 0 else user)
        os.seteuid(user)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_nobody_may_read_is_refused(nobody, suffix, closed):
    """A file, or the folder that it lies in."""
    folder, become = nobody
    (folder / "inside").mkdir()
    path = folder / "inside" / f"a{suffix}"
    Dataset.from_list([{"source": "a", "target": "b"}]).to_parquet(path) if suffix == ".parquet" else path.write_text(
        "a"
    )
    (path if closed == "file" else path.parent).chmod(0)
    become()
    assert "Permission denied" in str(answer(folder, f"inside/a{suffix}"))
