"""The last line of a job: the document, or its short entries and where the whole lies."""

import json
import math

import pytest

from pipeline.stages.document import MAX_LINE_BYTES, document_line

SHORT = {"status": "finished", "sweep": "abc"}


def test_a_short_document_is_the_line(tmp_path):
    """Nothing is written."""
    document = {**SHORT, "students": [{"name": "ü", "metrics": {"a": 1.5}}] * 9}
    assert json.loads(document_line("dq_sweep", document, tmp_path)) == document
    assert list(tmp_path.iterdir()) == []


def test_of_a_long_document_the_line_keeps_what_is_short_and_names_the_file(tmp_path):
    """The longest entries go first; asked again, the file is the same."""
    document = {**SHORT, "students": ["s" * 9000] * 90, "means": ["m" * 9000] * 30, "settings": {"x": "y" * 900}}
    line = document_line("compare", document, tmp_path)
    assert len(line) < MAX_LINE_BYTES + 500 and "\n" not in line
    said = json.loads(line)
    assert said["only_there"] == ["means", "students"]
    assert {name: said[name] for name in (*SHORT, "settings")} == {**SHORT, "settings": document["settings"]}
    assert document_line("compare", document, tmp_path) == line
    [file] = (tmp_path / "documents").iterdir()
    assert (said["whole_document"], json.loads(file.read_text())) == (str(file), document)


def test_a_storage_that_takes_no_file_loses_nothing(tmp_path):
    """The line is long, and whole."""
    document = {**SHORT, "students": ["s" * 9000] * 90}
    (tmp_path / "file").write_text("")
    assert json.loads(document_line("dq_sweep", document, tmp_path / "file")) == document


def test_a_line_is_strict_json(tmp_path):
    """Numbers that JSON does not have are null, wherever they stand; others keep their places."""

    def refused(constant):
        pytest.fail(f"{constant} is no JSON")

    document = {"status": "finished", "front": [{"error": math.inf, "ms": (1.5, -math.inf)}, {"error": math.nan}]}
    said = json.loads(document_line("ose_search", document, tmp_path), parse_constant=refused)
    assert said == {"status": "finished", "front": [{"error": None, "ms": [1.5, None]}, {"error": None}]}
