"""The aliases of champions: set, read back, put back; they leave `best` and `smallest` alone."""

import pytest

from pipeline.config.errors import UserError
from pipeline.serving.logged_models import LoggedStudent
from pipeline.serving.promotion import Aliases, aliases_of, check_version, point
from pipeline.serving.registry import Candidate, register
from pipeline.tracking.tracker import RunSpec


@pytest.fixture
def three(tracker):
    """Three versions of a registered model, and their logged models."""
    made = []
    for name, headline in (("a", 3.0), ("b", 2.0), ("c", 1.0)):
        with tracker.start(RunSpec(name=name, key=name, kind="student")) as run:
            pass
        model = tracker.client.create_logged_model(tracker.experiment_id, "student", source_run_id=run.run_id)
        logged = LoggedStudent(run_id=run.run_id, model_id=model.model_id, location=model.artifact_location)
        made.append(Candidate(model=logged, examples="e", headline=headline, size_bytes=1, tags={"student": name}))
        register(tracker, "name", made[-1:])
    return made


def test_aliases_are_what_they_were_set_to(tracker, three):
    """One after the other, and back to nothing; the best stays the best."""
    assert aliases_of(tracker, "nobody") == Aliases()
    for wanted in (Aliases(champion="2"), Aliases(champion="3", previous="2"), Aliases(champion="2"), Aliases()):
        assert point(tracker, "name", wanted) == wanted == aliases_of(tracker, "name")
        assert tracker.client.get_model_version_by_alias("name", "best").tags["student"] == "a"


def test_a_version_whose_model_is_gone_is_none(tracker, three):
    """It is named with those that are there."""
    check_version(tracker, "name", "2")
    tracker.client.delete_logged_model(three[1].model.model_id)
    for version in ("2", "7"):
        with pytest.raises(UserError, match=rf"no version {version} of name .*Allowed: 1, 3"):
            check_version(tracker, "name", version)
