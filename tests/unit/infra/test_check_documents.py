"""`infra/check/documents.py`: YAML and JSON are read as the server reads them, and a key twice is an error."""

import pytest

from infra.check.documents import DocumentError, json_document, yaml_document, yaml_documents


def test_documents_come_in_their_order_without_empty_ones():
    """kustomize puts `---` between objects."""
    assert yaml_documents("a: 1\n---\n---\nb: [x]\n") == [{"a": 1}, {"b": ["x"]}]


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x:\n  a: 1\n  a: 1\n", "a: [", "\ta: 1"])
def test_a_key_twice_and_broken_yaml_are_errors(text):
    """PyYAML takes the last one, silently."""
    with pytest.raises(DocumentError, match=r"line \d"):
        yaml_documents(text)


def test_a_merged_key_may_be_given_again():
    """That is what a merge is for."""
    assert yaml_documents("base: &b {a: 1}\nx: {<<: *b, a: 2}\n") == [{"base": {"a": 1}, "x": {"a": 2}}]


def test_a_lone_equals_sign_is_a_text():
    """YAML 1.1 had a type for it, which PyYAML does not construct."""
    assert yaml_documents("operator: =\n") == [{"operator": "="}]


def test_a_file_has_one_document(tmp_path):
    """Or none."""
    path = tmp_path / "x.yaml"
    path.write_text("# nothing\n")
    assert yaml_document(path) is None
    path.write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(DocumentError, match="2 documents"):
        yaml_document(path)
    with pytest.raises(DocumentError, match="cannot be read"):
        yaml_document(tmp_path / "other.yaml")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', "{", "[1,]"])
def test_json_is_as_strict(tmp_path, text):
    """A panel's key twice hides the first."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DocumentError):
        json_document(path)
    path.write_text('{"a": {"b": 1}, "c": [1]}')
    assert json_document(path) == {"a": {"b": 1}, "c": [1]}
