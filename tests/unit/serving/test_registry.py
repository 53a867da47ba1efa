"""Registered models: one version a model, and aliases that compare only what is comparable."""

from types import SimpleNamespace

import pytest
from datasets import Dataset

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.serving.logged_models import LoggedStudent, model_name
from pipeline.serving.registry import Candidate, register
from pipeline.stages.sweep.register import _scored_on
from pipeline.tracking.tracker import RunSpec


@pytest.fixture
def candidate(tracker):
    """A student with a run and a logged model."""

    def make(name, headline, size_bytes, examples="these"):
        with tracker.start(RunSpec(name=name, key=name, kind="student")) as run:
            pass
        model = tracker.client.create_logged_model(tracker.experiment_id, "student", source_run_id=run.run_id)
        logged = LoggedStudent(run_id=run.run_id, model_id=model.model_id, location=model.artifact_location)
        tags = {"student": name}
        return Candidate(model=logged, examples=examples, headline=headline, size_bytes=size_bytes, tags=tags)

    return make


def aliased(tracker):
    found = [tracker.client.get_model_version_by_alias("name", alias) for alias in ("best", "smallest")]
    return [version.tags["student"] for version in found]


def test_of_equals_the_better_or_smaller_has_the_alias(tracker, candidate):
    """Whatever the order in which they come."""
    register(tracker, "name", [candidate("big", 30.0, 90), candidate("good", 30.0, 50), candidate("small", 20.0, 40)])
    assert aliased(tracker) == ["good", "small"]
    register(tracker, "name", [candidate("small and better", 21.0, 40)])
    assert aliased(tracker) == ["good", "small and better"]


def test_scores_on_other_examples_do_not_compare(tracker, candidate):
    """The aliases follow the examples of the last submission."""
    register(tracker, "name", [candidate("easy", 90.0, 10, examples="easy ones")])
    register(tracker, "name", [candidate("hard", 30.0, 50, examples="hard ones")])
    assert aliased(tracker) == ["hard", "hard"]


def test_a_model_is_a_version_once(tracker, candidate):
    """Registered again, it has the version it had; a name without candidates is not made."""
    one, other = candidate("one", 1.0, 1), candidate("other", 2.0, 2)
    first = register(tracker, "name", [one])
    assert register(tracker, "name", [one, other]) == {**first, other.model.run_id: 2}
    assert len(tracker.client.search_model_versions("name = 'name'")) == 2
    assert register(tracker, "nothing", []) == {}
    assert [model.name for model in tracker.client.search_registered_models()] == ["name"]


def test_a_model_is_called_like_its_student():
    """Without the signs that MLflow takes in no model's name."""
    assert model_name("1.58-2-8 6-3 + masks/%: 'x' lr=0.001") == "1-58-2-8-6-3-+-masks-x-lr=0-001"


def test_scores_by_other_words_do_not_compare():
    """What decides about the aliases holds the metric's whole signature."""
    examples, hashes = Dataset.from_dict({"references": [["белая луна"]]}), set()
    for metric, tokenizer in (("rouge", "ascii"), ("rouge", "unicode"), ("bleu", "13a"), ("bleu", "char")):
        config = load_config(SweepJob, [f"task.metric={metric}", f"task.metric_tokenizer={tokenizer}"])
        job = SimpleNamespace(config=config, task=SimpleNamespace(fingerprint="f"))
        assert _scored_on(job, examples) == _scored_on(job, examples)
        hashes.add(_scored_on(job, examples))
    assert len(hashes) == 4
