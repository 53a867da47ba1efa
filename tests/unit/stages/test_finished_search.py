"""What a search has chosen is found by its name, or the nearest name is told."""

import json

import pytest
from damage import DAMAGES, damage

from pipeline.config.build import to_dict
from pipeline.config.errors import UserError
from pipeline.config.sections.sweep import StudentConfig
from pipeline.stages.finished_search import FILE, FinishedSearch, chosen_students, read_finished, write_finished
from pipeline.storage.layout import Storage
from pipeline.storage.sealed_json import OWN

STUDENT = StudentConfig(scheme="2-2-8", depth="3-1", label="mixed", recipe={"quantization": {"bits": ["*=8"]}})


@pytest.fixture
def storage(tmp_path):
    """With one finished search, `first`."""
    storage = Storage(root=tmp_path)
    found = FinishedSearch(
        name="first", kind="students", data="d", task="t", recipe="best", students=[to_dict(STUDENT)], document={}
    )
    write_finished(storage.search("first"), found)
    return storage


def test_what_was_chosen_is_read_as_it_was(storage):
    """Settings of a student, its own recipe among them."""
    assert chosen_students(read_finished(storage, "first")) == [STUDENT]


def test_a_name_that_is_not_there_is_answered_with_the_nearest(storage):
    """And with what is there."""
    with pytest.raises(UserError, match="did you mean 'first'"):
        read_finished(storage, "fist")


@pytest.mark.parametrize("change", [{"format": "dq-search/9"}, {"name": None, "more": 1}, {}])
def test_a_file_that_is_none_of_ours_is_refused(storage, change):
    """Another format, other fields, or no JSON at all."""
    file = storage.search("first") / FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change) if change else "{")
    with pytest.raises(UserError, match="dq-search/1"):
        read_finished(storage, "first")


@pytest.mark.parametrize("kind", DAMAGES[:-1])
def test_a_damaged_file_is_refused(storage, kind):
    """In one paragraph that says what to do; a student with other bits would be trained as the search's answer."""
    damage(storage.search("first") / FILE, kind)
    with pytest.raises(UserError, match=r"is damaged.*submit the search again"):
        read_finished(storage, "first")


def test_a_file_of_an_earlier_version_is_read(storage):
    """It has no digest."""
    file = storage.search("first") / FILE
    written = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in written.items() if name not in OWN}))
    assert read_finished(storage, "first").name == "first"


def test_models_from_scratch_are_no_students(storage):
    """A sweep cannot train them."""
    models = FinishedSearch(name="m", kind="models", data="d", task="t", recipe="best", students=[], document={})
    with pytest.raises(UserError, match="no students of a teacher"):
        chosen_students(models)
