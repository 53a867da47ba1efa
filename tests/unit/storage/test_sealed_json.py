"""A JSON file says whether it is what was written; what an earlier version left is read as it is."""

import json

import pytest
from damage import DAMAGES, damage

from pipeline.storage.sealed import DamagedFileError
from pipeline.storage.sealed_json import found_json, read_sealed_json, sealed_json

VALUES = [
    {"a": 1, "b": [1.5, "ü", None], "c": {"1": 1e-9}},
    {},
    [{"step": 1}, {"step": 2}],
    7,
    "why",
    {1: "number", 10: "for", 2: "key"},
    {"loss": float("inf")},
    {"value": 7},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_what_is_read_is_what_was_written(tmp_path, value):
    """Whatever JSON it is; keys that are numbers are texts, as in all JSON."""
    sealed_json(tmp_path / "new" / "file.json", value)
    assert read_sealed_json(tmp_path / "new" / "file.json") == json.loads(json.dumps(value))


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_every_bit_counts(tmp_path, value):
    """Flipped all over it: the file is refused, or says the same."""
    file = tmp_path / "file.json"
    sealed_json(file, value)
    whole = file.read_bytes()
    for place in range(0, 8 * len(whole), 11):
        damage(file, "flipped", place)
        try:
            read = read_sealed_json(file)
        except DamagedFileError:
            continue
        finally:
            file.write_bytes(whole)
        assert read == json.loads(json.dumps(value)), place


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_set_aside_and_made_again(tmp_path, caplog, kind):
    """With a warning; one that is missing is made without."""
    file = tmp_path / "file.json"
    sealed_json(file, {"number": 12345})
    damage(file, kind)
    assert found_json(file, "it is counted again") is None
    assert [path.name for path in tmp_path.iterdir()] == ([] if kind == "missing" else ["damaged-file.json"])
    assert len(caplog.records) == (kind != "missing") and ("counted again" in caplog.text) == (kind != "missing")


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], 7])
def test_files_of_earlier_versions_are_read(tmp_path, value):
    """They have no digest."""
    (tmp_path / "old.json").write_text(json.dumps(value))
    assert found_json(tmp_path / "old.json", "") == value
