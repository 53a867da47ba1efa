"""Whatever an exported folder says, checksums made afterwards: it is refused in one paragraph, or says what it said."""

import json
import re
import zipfile
from dataclasses import asdict, replace

import numpy as np
import pytest
from handmade import INFO, say, with_digests, write_exported
from hypothesis import HealthCheck, example, given, settings
from mutations import GONE, mutated, mutations, write_manifest

from pipeline.config.errors import UserError
from pipeline.models.families import families
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.check import read_golden
from pipeline.runtime.manifest import FORMAT, GOLDEN, MANIFEST, TOKENIZER, check_source, read_manifest
from pipeline.runtime.manifest_checks import FAMILIES
from pipeline.runtime.manifest_file import DIGEST, bound, difference, read_json

TEXTS = ["read a file", ""]
# What a person may choose, or what a model was trained with: bound by the checksum alone.
CHOICES = ("decoding", "source_prefix", "max_source_tokens", "tokens", "labels")
PARTS = {"weights": {"bytes": 3, "bits": 2, "stored_as": "2 bits"}}
SAID = {"format": FORMAT, "written_by": "dq-pipeline", **asdict(replace(INFO, parts=PARTS))}


@pytest.fixture(scope="module")
def exported(tiny_tokenizer, tmp_path_factory):
    """A folder, its manifest, and what it answers."""
    folder = tmp_path_factory.mktemp("exports") / "exported"
    write_exported(folder, tiny_tokenizer, parts=PARTS)
    manifest = json.loads((folder / MANIFEST).read_text())
    return folder, manifest, OnnxAnswerer(folder, num_threads=1).answers(TEXTS)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations(SAID))
@example((("tokens", "pad"), 10**6))
@example((("tokens", "suppressed"), [10**6]))
@example((("tokens", "decoder_start"), None))
@example((("parity", "floor"), 10**30))
@example((("decoding", "max_length"), 10**9))
@example((("labels",), ["no", "yes"]))
@example((("onnxruntime",), "one"))
@example((("source",), GONE))
def test_a_manifest_that_says_anything_else_is_refused_or_makes_no_difference(exported, mutation):
    """Choices aside."""
    folder, manifest, before = exported
    place, _ = mutation
    write_manifest(folder, mutated(manifest, *mutation))
    try:
        said = OnnxAnswerer(folder, num_threads=1).answers(TEXTS)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
    else:
        assert said == before or place[0] in CHOICES


@pytest.mark.parametrize("name", ["notes.txt", "decoder.onnx.data", ".hidden"])
def test_a_file_that_is_not_listed_or_has_no_place_is_refused(make_exported, name):
    """Listed or not: a graph could read it."""
    folder = make_exported()
    (folder / name).write_text("x")
    with pytest.raises(UserError, match=rf"{re.escape(name)} is not in its manifest"):
        read_manifest(folder)
    with_digests(folder)
    with pytest.raises(UserError, match=rf"names {re.escape(name)}, which has no place"):
        read_manifest(folder)


def test_checksums_name_files_of_the_folder(make_exported):
    """None less than it needs, and none elsewhere."""
    folder = make_exported()
    digests = json.loads((folder / MANIFEST).read_text())["sha256"]
    less = {name: digest for name, digest in digests.items() if name != TOKENIZER}
    for sha256 in ({}, [], less, digests | {"../exported/weights.bin": digests["weights.bin"]}, digests | {"a": 1}):
        say(folder, sha256=sha256)
        with pytest.raises(UserError, match=r"manifest\.json"):
            read_manifest(folder)


def test_a_manifest_is_bound_by_what_it_says(make_exported):
    """Not by how it is written; one of an earlier format is not."""
    folder = make_exported()
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest, sort_keys=True))
    assert read_manifest(folder).source_prefix == "say: "
    for changed in (manifest | {"source_prefix": "sing: "}, {k: v for k, v in manifest.items() if k != DIGEST}):
        (folder / MANIFEST).write_text(json.dumps(changed))
        with pytest.raises(UserError, match=r"manifest\.json has changed"):
            read_manifest(folder)
    earlier = {name: value for name, value in manifest.items() if name != DIGEST} | {"format": "dq-onnx/2"}
    (folder / MANIFEST).write_text(json.dumps(earlier))
    assert read_manifest(folder).source_prefix == "say: "


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[1e999]", "[" * 100_000, "\xff", '{"a": Infinity}']
)
def test_json_is_read_strictly(tmp_path, text):
    """What one reader takes for something else than another is no JSON of ours."""
    (tmp_path / "file").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"twice|no number|too large|in lists|decode"):
        read_json(tmp_path / "file")


@pytest.mark.parametrize(
    ("said", "meant", "place"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2.0]}}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": "1"}, {"a": 1}, "a"),
        ({"a": 1}, {"a": 1, "b": None}, "b"),
        ({"a": [1]}, {"a": [1, 2]}, "a"),
    ],
)
def test_plain_data_differ_where_somebody_could_take_one_for_the_other(said, meant, place):
    """Numbers are what they are worth; nothing else is like another type."""
    assert difference(said, meant) == place
    assert bound(said)[DIGEST] != bound({"c": said})[DIGEST]


def write_array(path, shape, content):
    """An archive with one array whose header says a shape."""
    with zipfile.ZipFile(path, "w") as file, file.open("logits.npy", "w") as array:
        header = {"shape": shape, "fortran_order": False, "descr": "<f4"}
        np.lib.format.write_array_header_1_0(array, header)
        array.write(content)


def test_stored_arrays_are_no_larger_than_they_are(make_exported):
    """Memory is taken by what a header says."""
    folder = make_exported()
    write_array(folder / GOLDEN, (2, 2), bytes(16))
    assert read_golden(folder)["logits"].shape == (2, 2)
    for shape in ((10**6, 10**7), (1,), (2**40, 2**40)):
        write_array(folder / GOLDEN, shape, bytes(16))
        with pytest.raises(UserError, match=rf"{GOLDEN}: logits.npy of shape"):
            read_golden(folder)


@pytest.mark.parametrize("change", ["lacking", "shape", "columns", "text", "empty"])
def test_stored_inputs_that_do_not_fit_the_graphs_are_refused(make_exported, change):
    """By name, whatever is wrong with them."""
    folder = make_exported()
    golden = read_golden(folder)
    changed = {
        "lacking": {name: array for name, array in golden.items() if name != "decoder_ids"},
        "shape": golden | {"logits": golden["logits"][:1]},
        "columns": golden | {"columns": golden["columns"] + 10**6},
        "text": golden | {"logits": np.full(golden["logits"].shape, "x")},
        "empty": golden | {"logits": golden["logits"][..., :0], "columns": golden["columns"][:0]},
    }
    np.savez(folder / GOLDEN, **changed[change])
    with_digests(folder)
    with pytest.raises(UserError, match=rf"{GOLDEN} does not fit the graphs"):
        OnnxAnswerer(folder)


def test_graphs_are_those_of_the_package_that_they_name(make_exported, tmp_path):
    """Of its manifest, byte for byte; a folder without one is nobody's."""
    folder, package = make_exported(), tmp_path / "packed"
    package.mkdir()
    (package / MANIFEST).write_text("{}")
    say(folder, source="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")  # of {}
    check_source(folder, package)
    for change in (lambda: (package / MANIFEST).write_text("{} "), (package / MANIFEST).unlink):
        change()
        with pytest.raises(UserError, match="exported from another student"):
            check_source(folder, package)


def test_the_families_of_exports_are_those_of_models():
    """Whoever adds one adds it in both places."""
    assert sorted(FAMILIES) == sorted(families())
