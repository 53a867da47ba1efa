"""Files are read as written: nothing is guessed, nothing is dropped, and what cannot be read is named with its line."""

import csv
import gzip
import io
import json
import lzma

import pyarrow
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from pipeline.config.errors import UserError
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.corpora import load_corpus

# What readers that guess types take for numbers, truth values, days or nothing.
ODD_TEXTS = [
    "01",
    "1",
    "1.50",
    "1e3",
    "None",
    "NA",
    "null",
    "nan",
    "true",
    "False",
    "2005-04-17",
    "-",
    " a ",
    "inf",
    "#N/A",
]
ROWS = [{"source": f"text {text}", "target": text} for text in ODD_TEXTS]


def as_csv(rows, delimiter=",", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, quoting=quoting, quotechar='"')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


WRITERS = {
    ".csv": as_csv,
    ".tsv": lambda rows: as_csv(rows, "\t", csv.QUOTE_NONE),
    ".jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows),
    ".json": lambda rows: json.dumps(rows, indent=1),
}


@pytest.fixture
def read(tmp_path):
    """The examples of one file: `read(name, text or bytes) -> {"source": [...], "target": [...]}`."""

    def make(name, content, objective="supervised", **corpus):
        raw = content.encode() if isinstance(content, str) else content
        packed = {".gz": gzip.compress, ".xz": lzma.compress}.get(name[-3:], bytes)(raw)
        (tmp_path / name).write_bytes(packed)
        files = dict.fromkeys(("train", "validation", "test"), name)
        metric = "accuracy" if objective == "classification" else "rouge"
        settings = CorpusConfig(kind="files", files=files, **corpus)
        task = TaskConfig(name="mine", objective=objective, metric=metric, corpus=settings)
        return load_corpus(task, str(tmp_path), tmp_path / "cache").splits["train"].to_dict()

    return make


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
@pytest.mark.parametrize("suffix", [*WRITERS, ".CSV"])
def test_every_text_stays_as_it_stands(read, suffix, packed):
    """As a text and as a label, in every format, packed or not."""
    content = WRITERS[suffix.lower()](ROWS)
    for objective in ("supervised", "classification"):
        split = read(f"train{suffix}{packed}", content, objective)
        assert split["target"] == ODD_TEXTS
        assert split["source"] == [row["source"] for row in ROWS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", '\ufeffsource,target\r\n"one,\r\n\ttwo ""x""\nthree",t\r\n'),
        ("a.csv", 'source;target\n"one,\r\n\ttwo ""x""\nthree";t'),
        ("a.csv", 'source\ttarget\n"one,\r\n\ttwo ""x""\nthree"\tt'),
        ("a.csv", 'source|target|more, or less\n"one,\r\n\ttwo ""x""\nthree"|t|x'),
        ("a.csv", '\n\nsource;target;more, or less\n"one,\r\n\ttwo ""x""\nthree";t;x'),
        ("a.csv", '"source", "target"\n"one,\r\n\ttwo ""x""\nthree", "t"'),
        ("a.tsv", '"source"\t"target"\r\n"one,\r\n\ttwo ""x""\nthree"\t"t"'),
        ("a.csv", ',source,target\n0,"one,\r\n\ttwo ""x""\nthree",t\n\n'),  # pandas' index; a blank line
        ("a.jsonl", '\ufeff{"source": "one,\\r\\n\\ttwo \\"x\\"\\nthree", "target": "t"}\r\n\r\n'),
        ("a.json", '{"source": "one,\\r\\n\\ttwo \\"x\\"\\nthree",\n\n "target": "t"}\n'),
        ("a.json", '{"source": ["one,\\r\\n\\ttwo \\"x\\"\\nthree"], "target": ["t"]}'),
        ("a.json", '{"source": {"0": "one,\\r\\n\\ttwo \\"x\\"\\nthree"}, "target": {"0": "t"}}'),
    ],
)
def test_quotes_breaks_marks_and_layouts_are_understood(read, name, content):
    """Byte order marks, ends of lines, delimiters, an unnamed column, JSON in any layout."""
    assert read(name, content) == {"source": ['one,\r\n\ttwo "x"\nthree'], "target": ["t"]}


def test_a_quote_in_tsv_is_a_character(read):
    """GLUE's files hold single ones."""
    assert read("a.tsv", 'source\ttarget\n"He said\t"t" or\n')["source"] == ['"He said']


def test_a_text_may_be_longer_than_csv_readers_take(read):
    """Their usual limit is 131,072 characters."""
    assert read("a.csv", f"source,target\n{'x' * 200_000},t\n")["source"] == ["x" * 200_000]


def test_labels_of_json_are_spelt_as_in_the_file(read):
    """Numbers and truth values, side by side; huge ones, too."""
    labels = ["1", "-0.50", "1e3", "true", "false", '"a"', "123456789012345678901234567890"]
    lines = "\n".join(f'{{"source": "x", "target": {label}}}' for label in labels)
    assert read("a.jsonl", lines, "classification")["target"] == [label.strip('"') for label in labels]
    with pytest.raises(UserError, match=r"label 1\.0 is the number 1 in line 2 of split 'train'"):
        read("a.jsonl", '{"source": "x", "target": 1}\n{"source": "x", "target": 1.0}', "classification")
    with pytest.raises(UserError, match=r"label 1 is str in line 2 of split 'train' .*, and int before"):
        read("a.jsonl", '{"source": "x", "target": 1}\n{"source": "x", "target": "1"}', "classification")


def test_rows_of_json_need_not_be_alike(read):
    """Columns that come late, types that change where nobody looks, names that other tools give a meaning."""
    rows = [{"source": "a", "target": "b"}, {"more": 1, "source": "c", "target": "d"}]
    rows += [{"more": "x", "source": "e", "target": "f", "type": "user", "message": {"role": "user"}}]
    for suffix in (".jsonl", ".json"):
        assert read(f"a{suffix}", WRITERS[suffix](rows))["target"] == ["b", "d", "f"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json"])
@pytest.mark.parametrize(
    ("target", "reason"), [("", "holds nothing in line 4"), (" ", "holds ' ' \\(str\\) in line 4")]
)
def test_an_empty_cell_is_missing(read, suffix, target, reason):
    """Refused with its line, as editors count, though an earlier text has a line break of its own where it can."""
    broken = "b\nb" if suffix == ".csv" else "b"
    rows = [
        {"source": "a", "target": "t"},
        {"source": broken, "target": "t"},
        {"source": "c", "target": target or None},
    ]
    line = {".csv": 5, ".tsv": 4, ".jsonl": 3, ".json": 10}[suffix]
    with pytest.raises(UserError, match=reason.replace("line 4", rf"line {line} of split 'train' \(.*a\{suffix}\)")):
        read(f"a{suffix}", WRITERS[suffix](rows))


GOOD = '{"source": "a", "target": "b"}\n'
BAD = {
    "more cells": ("a.csv", 'source,target\na,b\n"c\nc",d\ne,f,g\n', "line 5 has 3 cells, the first line names 2"),
    "fewer cells": ("a.csv", "source,target\r\na,b\r\nc\r\n", "line 3 has 1 cell,"),
    "more cells in TSV": ("a.tsv", "source\ttarget\na\tb\tc\n", "line 2 has 3 cells.*write texts with tabs"),
    "a quote that does not end": ("a.csv", 'source,target\na,b\n"c,d\ne,f\n', "line 3: unexpected end of data"),
    "text behind a quote": ("a.csv", 'source,target\n"a"b,c\n', "line 2: ',' expected after"),
    "two columns of one name": ("a.csv", "source,target,target\na,b,c\n", "names two columns 'target'"),
    "two names in one object": ("a.jsonl", GOOD + '{"source": "a", "source": "b"}', "line 2: the name 'source' twice"),
    "no UTF-8 in CSV": ("a.csv", b"source,target\na,b\nc,\xe9\n", "line 3 is not UTF-8"),
    "no UTF-8 in TSV": ("a.tsv", b"source\ttarget\rc\t\xe9\r", "line 2 is not UTF-8"),
    "no UTF-8 in JSON lines": ("a.jsonl", GOOD.encode() * 9999 + b'{"source": "\xff"}', "line 10000 is not UTF-8"),
    "no UTF-8 in JSON": ("a.json", b'[\n{"source": "\xc3"}]', "line 2 is not UTF-8"),
    "no UTF-8 packed": ("a.csv.gz", b"source,target\na,\xff\n", "line 2 is not UTF-8"),
    "no UTF-8 in plain text": ("a.txt.xz", b"a\n\n\xff\n", "line 3 is not UTF-8"),
    "columns of plain text": ("a.txt", "a\nb\n", "no column 'source' in .*one of text.*source_column=text"),
    "blank lines of plain text": ("a.txt", "\n \n", "nothing in .*a.txt, the data of split 'train'"),
    "UTF-16": ("a.csv", "source,target\na,b\n".encode("utf-16"), "line 1 is not UTF-8.*iconv -f UTF-16"),
    "commas in TSV": ("a.tsv", "source,target\na,b\n", "no tab, but ','.*name the file .csv"),
    "a NUL in CSV": ("a.csv", "source,target\na,b\nc,d\0\n", "a NUL character in line 3"),
    "a NUL in TSV": ("a.tsv", "source\ttarget\na\0\tb\n", "a NUL character in line 2"),
    "a NUL in JSON": ("a.jsonl", GOOD + '{"source": "a\\u0000", "target": "b"}', "a NUL character in line 2"),
    "a raw NUL in JSON": ("a.jsonl", GOOD + '{"source": "a\0", "target": "b"}', "line 2: Invalid control character"),
    "half a pair": ("a.jsonl", f'{GOOD}\n\n{{"source": "\\ud83d", "target": "b"}}', r"\\ud83d\) in line 4 of split"),
    "half a pair in JSON": ("a.json", f'[{GOOD},\n\n{{"source": "x", "target": "\\udc00"}}]', r"\\udc00\) in line 4"),
    "no JSON": ("a.jsonl", GOOD + "{'source': 1}", "line 2: Expecting property name"),
    "two objects in a line": ("a.jsonl", GOOD + GOOD.strip() * 2, "line 2: more than one value"),
    "no object": ("a.jsonl", f'{GOOD}["a"]', r"line 2: .* is no object"),
    "a list in JSON lines": ("a.jsonl", "[\n" + GOOD + "]", "line 1: .*or name the file .json"),
    "a cut list": ("a.json", f"[{GOOD},", "line 2: the file ends inside the list"),
    "more behind a list": ("a.json", f"[{GOOD}]\n{GOOD}", "line 3: more behind the list"),
    "a number with too many digits": ("a.jsonl", f'{{"source": "a", "target": {"1" * 5000}}}', "line 1: "),
    "a nest": ("a.jsonl", GOOD + "[" * 100_000, "line 2: "),
    "a text that is a number": ("a.jsonl", '{"source": "a", "target": 1.50}', r"holds '1.50' \(float\) in line 1"),
    "an empty file in gzip": ("a.csv.gz", "", "nothing in .*a.csv.gz, the data of split 'train'"),
    "blank lines": ("a.csv", "\n\n", "nothing in .*a.csv, the data of split 'train'"),
    "an empty list": ("a.json", "[]", "nothing in .*a.json, the data of split 'train'"),
    "a blank in a name": ("a.csv", "source ,target\na,b\n", "set task.corpus.source_column='\"source \"'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_named_with_its_line(read, tmp_path, name):
    """As editors count; the network is nobody's fault."""
    file, content, reason = BAD[name]
    with pytest.raises(UserError, match=reason) as refusal:
        read(file, content)
    assert str(tmp_path / file) in str(refusal.value)
    assert not {"network", "HF_HUB_OFFLINE", "hub"} & set(str(refusal.value).split())


TEXT_ALONE = {"objective": "masked_lm", "source_column": "text", "target_column": "text"}


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
def test_every_line_of_plain_text_is_an_example(read, packed):
    """As it stands, in the column `text`; blank lines part documents and are none."""
    texts = [*ODD_TEXTS, "ends in blanks  ", "\ttab, and \x85 and \u2028 are no ends of lines"]
    texts = [text for text in texts if text.strip() and not set(text) & set("\r\n")]
    content = "\ufeff\n" + "\n\n \n".join(texts)
    for end in ("\n", "\r\n"):
        assert read(f"a.txt{packed}", content.replace("\n", end), **TEXT_ALONE)["source"] == texts


def test_a_nul_in_plain_text_is_refused_with_its_line(read):
    """Blank lines count, as in editors."""
    with pytest.raises(UserError, match=r"a NUL character in line 3 of split 'train' \(.*a\.txt\)"):
        read("a.txt", "a\n\nb\0\n", **TEXT_ALONE)


def test_a_damaged_xz_file_is_refused(tmp_path):
    """Cut, or no such file."""
    files = dict.fromkeys(("train", "validation", "test"), "a.txt.xz")
    columns = {"source_column": "text", "target_column": "text"}
    task = TaskConfig(objective="masked_lm", corpus=CorpusConfig(kind="files", files=files, **columns))
    whole = lzma.compress(b"text\n" * 9999)
    for content, reason in ((whole[:-20], "Compressed file ended"), (b"text", "Input format not supported")):
        (tmp_path / "a.txt.xz").write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.txt\.xz.*{reason}"):
            load_corpus(task, str(tmp_path), tmp_path)


def test_a_damaged_gzip_file_is_refused(tmp_path):
    """Whatever was read until then."""
    whole = gzip.compress(WRITERS[".jsonl"](ROWS * 999).encode())
    files = dict.fromkeys(("train", "validation", "test"), "a.jsonl.gz")
    task = TaskConfig(corpus=CorpusConfig(kind="files", files=files))
    broken = whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]
    latin = gzip.compress(b'{"source": "\xe9"}')[:-8] + bytes(8)
    reasons = [(whole[:-9], "Compressed file ended"), (broken, ""), (latin, "CRC"), (b"source", "Not a gzipped file")]
    for content, reason in reasons:
        (tmp_path / "a.jsonl.gz").write_bytes(content)
        with pytest.raises(UserError, match=rf"a\.jsonl\.gz.*{reason}"):
            load_corpus(task, str(tmp_path), tmp_path)


def test_parquet_is_taken_as_plain_values(read, tmp_path):
    """Names of labels are known; an image is never opened; text that is no UTF-8 is refused with its row."""
    features = Features({"source": Value("string"), "target": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"source": ["a", "b"], "target": [1, 0]}, features=features).to_parquet(tmp_path / "b.parquet")
    assert read("a.parquet", (tmp_path / "b.parquet").read_bytes(), "classification")["target"] == ["yes", "no"]
    binary = pyarrow.array([b"a", b"\xff", b"c"])
    text = pyarrow.StringArray.from_buffers(3, binary.buffers()[1], binary.buffers()[2])
    table = pyarrow.table({"source": text, "target": ["x", "y", "z"]})
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: row 2 is not UTF-8"):
        read("a.parquet", (tmp_path / "b.parquet").read_bytes())


def test_a_column_of_parquet_that_nobody_asks_for_does_not_matter(read, tmp_path):
    """Maps have no type in the library."""
    odd = pyarrow.array([[("k", "v")]], pyarrow.map_(pyarrow.string(), pyarrow.string()))
    pyarrow.parquet.write_table(pyarrow.table({"source": ["a"], "target": ["b"], "odd": odd}), tmp_path / "b.parquet")
    assert read("a.parquet", (tmp_path / "b.parquet").read_bytes())["target"] == ["b"]
    with pytest.raises(UserError, match=r"'odd' holds .*list"):
        read("a.parquet", (tmp_path / "b.parquet").read_bytes(), target_column="odd")


@pytest.fixture
def saved(tmp_path):
    """A folder with a data set of three splits that `save_to_disk` wrote, and its parts."""
    names = ("train", "validation", "test")
    splits = DatasetDict({name: Dataset.from_list([{"source": name, "target": "t"}]) for name in names})
    splits.save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(
    ("root", "corpus"),
    [
        ("saved", {}),
        (".", {"files": dict.fromkeys(("train", "validation", "test"), "saved")}),
        (".", {"files": {name: f"saved/{name}" for name in ("train", "validation", "test")}}),
        (".", {"kind": "hub"}),
    ],
)
def test_folders_of_save_to_disk_are_read(saved, root, corpus):
    """As the root of a task's files, as the folder of every split, as a data set of the hub."""
    files = {name: f"{name}.jsonl" for name in ("train", "validation", "test")}
    settings = {"kind": "files", "files": files, "name": str(saved), **corpus}
    loaded = load_corpus(TaskConfig(corpus=CorpusConfig(**settings)), str(saved.parent / root), saved.parent / "cache")
    assert {name: split["source"][:] for name, split in loaded.splits.items()} == {name: [name] for name in files}


def with_offsets(saved):
    """Texts that end far behind their bytes."""
    offsets, letters = pyarrow.array([0, 10**9, 2], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"ab")
    texts = pyarrow.StringArray.from_buffers(2, offsets, letters)
    table = pyarrow.table({"source": texts, "target": ["x", "y"]})
    path = next((saved / "train").glob("*.arrow"))
    with pyarrow.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda saved: (saved / "train" / "state.json").write_text("{"), "saved cannot be read: Expecting"),
        (lambda saved: (saved / "train" / "state.json").unlink(), "cannot be read"),
        (with_offsets, "train, row 1, cannot be read"),
        (lambda saved: (saved / "dataset_dict.json").unlink(), "is a folder without state.json"),
        (lambda saved: (saved / "dataset_dict.json").write_text('{"splits": ["test"]}'), "splits test, not 'train'"),
    ],
)
def test_another_folder_is_refused_with_what_it_is(saved, damage, message):
    """Damaged, of another kind, without the split."""
    damage(saved)
    files = dict.fromkeys(("train", "validation", "test"), str(saved))
    with pytest.raises(UserError, match=message) as refusal:
        load_corpus(TaskConfig(corpus=CorpusConfig(kind="files", files=files)), "", saved.parent)
    assert "network" not in str(refusal.value)


def test_a_root_without_splits_is_the_training_split_alone(saved):
    """It never stands in for the others, but they can be taken from it."""
    files = {name: f"{name}.jsonl" for name in ("train", "validation", "test")}
    task = TaskConfig(corpus=CorpusConfig(kind="files", files=files))
    Dataset.from_list([{"source": str(i), "target": "t"} for i in range(50)]).save_to_disk(saved.parent / "one")
    missing = r"validation.jsonl does not exist \(split 'validation'\); .*test.jsonl.*data.split_validation=0.1;"
    with pytest.raises(UserError, match=missing):
        load_corpus(task, str(saved.parent / "one"), saved.parent / "cache")
    shares = {"validation": 0.2, "test": 0.2}
    splits = load_corpus(task, str(saved.parent / "one"), saved.parent / "cache", shares).splits
    assert sorted(source for split in splits.values() for source in split["source"]) == sorted(map(str, range(50)))


def test_nothing_is_left_in_the_cache(read, tmp_path):
    """Examples are read anew every time, so a file that changed is never read from a copy."""
    for _ in range(2):
        read("a.csv", as_csv(ROWS))
    assert not list((tmp_path / "cache").rglob("*"))


def test_a_list_that_became_text_is_no_reference(read):
    """It would be scored with its brackets."""
    with pytest.raises(UserError, match=r"list that was written as text in line 2 .*: .*JSON lines"):
        read("a.csv", "source,target,refs\na,b,\"['c', 'd']\"\n", references_column="refs")
    read("a.csv", "source,target,refs\na,b,[c]\n", references_column="refs")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_references_may_be_in_the_test_split_alone(tmp_path, suffix):
    """They are used there; where no scored split has them, all of those are named."""
    row = {"source": "s", "target": "t"}
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}{suffix}").write_text(WRITERS[suffix]([row | {"refs": "u"} if split == "test" else row]))
    files = {split: f"{split}{suffix}" for split in ("train", "validation", "test")}

    def load(**columns):
        corpus = CorpusConfig(kind="files", files=files, **columns)
        return load_corpus(TaskConfig(corpus=corpus), str(tmp_path), tmp_path / "cache").splits

    splits = load(references_column="refs")
    assert (splits["validation"]["references"][:], splits["test"]["references"][:]) == ([["t"]], [["t", "u"]])
    places = rf"split 'validation' \({tmp_path}/validation\{suffix}\), split 'test' \({tmp_path}/test\{suffix}\)"
    with pytest.raises(UserError, match=rf"no column 'rfs' in {places}.*references_column=null"):
        load(references_column="rfs")
