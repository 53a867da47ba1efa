"""Candidates see the first steps of a training, and never more than it has, whosever texts they learn."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batches import BatchPlan
from pipeline.stages.search import training_texts
from pipeline.stages.search.training_texts import check_steps, training_tokens

LONG = [(number % 7 + 3, number % 5 + 2) for number in range(60)]
SHORT = [(source, 1) for source, _ in LONG]  # fewer batches, and fewer steps
SEEDS, EPOCHS = (3, 28), 3


def searched(last, **search):
    """A search that looks after so many steps."""
    train = TrainConfig(epochs=EPOCHS, batch_tokens=40, micro_batch_tokens=40)
    return OseSearchJob(student=train, search=SearchConfig(steps=[last], seeds=list(SEEDS), **search))


def num_steps(lengths, seed):
    """Of the whole training, epoch by epoch."""
    plan = BatchPlan(lengths=lengths, batch_tokens=40, micro_batch_tokens=40, num_ranks=1, seed=seed)
    return sum(map(plan.num_steps, range(EPOCHS)))


@pytest.mark.parametrize("lengths", [LONG, SHORT])
def test_the_last_step_of_the_shortest_training_is_the_last_that_is_allowed(lengths):
    """Epochs are not all of one length, nor are those of two seeds."""
    most = min(num_steps(lengths, seed) for seed in SEEDS)
    check_steps(searched(most), lengths)
    with pytest.raises(UserError, match=f"in a training of {most} steps on the references") as refused:
        check_steps(searched(most + 1), lengths)
    assert "student.epochs" in refused.value.change


@pytest.fixture
def opened(monkeypatch):
    """`opened(config, lengths)`: a job whose teacher writes texts of these lengths."""

    def made(config, lengths):
        monkeypatch.setattr(training_texts.pseudo_labels, "run", lambda *_: Path("/texts"))
        split = SimpleNamespace(lengths=lambda: lengths)
        monkeypatch.setattr(training_texts, "load_tokenised", lambda folder, name: split)
        return SimpleNamespace(config=config, task=SimpleNamespace(tokens_folder="/references"))

    return made


def test_steps_beyond_the_training_on_the_teachers_texts_are_refused(opened):
    """They were within the training on the references, of which there are more tokens."""
    teacher, most = object(), min(num_steps(SHORT, seed) for seed in SEEDS)
    assert training_tokens(opened(searched(most), SHORT), teacher) == Path("/texts")
    check_steps(searched(most + 1), LONG)
    job = opened(searched(most + 1), SHORT)
    with pytest.raises(UserError, match=f"{most} steps on the teacher's texts"):
        training_tokens(job, teacher)


@pytest.mark.parametrize(("teacher", "distil"), [(None, True), (object(), False)])
def test_who_does_not_learn_from_a_teacher_learns_the_references(opened, teacher, distil):
    """Whatever the recipe wants of a teacher."""
    job = opened(searched(10**6, kind="models", distil=distil), SHORT)
    assert training_tokens(job, teacher) == Path("/references")
