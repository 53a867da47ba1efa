"""`infra/check/exceptions.py`: each exception has a sentence and is needed."""

import pytest
import yaml

from infra.check.exceptions import Exemption, explained, read_allowed, stale
from infra.check.finding import Finding

SENTENCE = "It writes nothing that anybody else could read."


def finding(**changes):
    values = {"check": "CKV_1", "source": "infra/a", "object": "Pod/x", "path": "spec.containers[0]"} | changes
    return Finding(problem="p", change="c", **values)


def exemption(**changes):
    return Exemption(**({"check": "CKV_1", "object": "Pod/*", "because": SENTENCE} | changes))


@pytest.mark.parametrize(
    "changes", [{}, {"object": "Pod/x"}, {"source": "infra/*"}, {"path": "spec.containers[0]"}, {"path": "*[0]"}]
)
def test_a_finding_is_explained_by_what_fits(changes):
    """In a path `[0]` is an entry of a list, not a pattern."""
    assert explained([finding()], [exemption(**changes)]) == ([], [finding()])


@pytest.mark.parametrize(
    "changes",
    [{"check": "CKV_2"}, {"object": "Job/*"}, {"source": "infra/b"}, {"path": "spec"}, {"path": "spec.containers[1]"}],
)
def test_what_does_not_fit_explains_nothing_and_is_said_itself(changes):
    """An exception outlives its reason otherwise."""
    left, gone = explained([finding()], [exemption(**changes)])
    assert (
        gone == [] and left[0] == finding() and left[1].check == "exceptions" and "explains nothing" in left[1].problem
    )


@pytest.mark.parametrize("check", ["schema", "discovery", "render", "exceptions", "promql"])
def test_what_was_not_judged_cannot_be_explained(check):
    """The server refuses an unknown field, whatever the sentence is."""
    left, gone = explained([finding(check=check)], [exemption(check=check)])
    assert gone == [] and finding(check=check) in left


@pytest.fixture
def allowed(tmp_path):
    """`allowed(name, key, entry, ...)`: what is read from a file with these entries."""
    (tmp_path / "infra" / "check").mkdir(parents=True)

    def read(name, key, *entries):
        (tmp_path / "infra" / "check" / name).write_text(yaml.safe_dump({key: list(entries)}))
        return read_allowed(tmp_path)

    read.root = tmp_path
    return read


def test_the_three_files_are_read(allowed):
    """One that is not there allows nothing."""
    assert allowed("exceptions.yaml", "exceptions").exemptions == ()
    given = {"check": "CKV_1", "object": "Pod/*", "because": SENTENCE}
    found = allowed("exceptions.yaml", "exceptions", given)
    assert found.exemptions == (exemption(),) and found.findings == ()


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"check": "C", "object": "*", "because": "no"}, "no sentence"),
        ({"check": "C", "object": "*", "because": "a long text that does not end as a sentence"}, "no sentence"),
        ({"check": "C", "object": "*"}, "no sentence"),
        ({"check": "C", "because": SENTENCE}, "object"),
        ({"check": "C", "object": "*", "because": SENTENCE, "line": "1"}, "line"),
        ({"check": "C", "object": 1, "because": SENTENCE}, "mapping of texts"),
        ("CKV_1", "mapping of texts"),
    ],
)
def test_an_entry_without_a_sentence_or_with_other_keys_is_refused(allowed, entry, word):
    """And allows nothing."""
    found = allowed("exceptions.yaml", "exceptions", entry)
    assert found.exemptions == () and [word in one.problem for one in found.findings] == [True]


def test_a_file_of_another_form_is_refused(allowed):
    """A misspelt key would allow nothing and look as if it did."""
    (found,) = allowed("exceptions.yaml", "exception").findings
    assert "one key 'exceptions'" in found.problem
    (allowed.root / "infra/check/exceptions.yaml").write_text("a: 1\na: 2")
    (found,) = read_allowed(allowed.root).findings
    assert "given twice" in found.problem


def test_what_is_made_by_hand_is_named_by_a_page(allowed):
    """Otherwise nobody makes it."""
    entry = {"kind": "Secret", "name": "ray-token", "documented_in": "infra/README.md", "because": SENTENCE}
    assert "does not name it" in allowed("made_by_hand.yaml", "objects", entry).findings[0].problem
    (allowed.root / "infra/README.md").write_text("make a secret ray-token")
    assert allowed("made_by_hand.yaml", "objects", entry).findings == ()


def test_an_entry_that_nothing_needs_is_said(allowed):
    """Of objects made by hand, and of kinds without a schema."""
    (allowed.root / "infra/README.md").write_text("ray-token")
    entry = {"kind": "Secret", "name": "ray-token", "documented_in": "infra/README.md", "because": SENTENCE}
    allowed("kinds_without_schema.yaml", "kinds", {"group": "x.io", "kind": "Queue", "because": SENTENCE})
    found = allowed("made_by_hand.yaml", "objects", entry)
    assert list(stale(found, {("x.io", "Queue")}, {("Secret", "ray-token")})) == []
    assert len(list(stale(found, {("y.io", "Queue")}, {("ConfigMap", "ray-token")}))) == 2
