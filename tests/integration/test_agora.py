"""Agora as a whole job: a small model learns from scarce data and from what a teacher says near its mistakes."""

import json
import random
import shutil
from pathlib import Path

import pytest
from small_task import SIZES, called, killed_at_call
from transformers import AutoTokenizer

from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.numbered_tokens import numbered_tokenizer
from pipeline.export.package import load_package
from pipeline.models.load import load_teacher
from pipeline.stages.agora import answers, candidates, final_score, fit_candidates, room
from pipeline.stages.agora import job as agora_job
from pipeline.stages.agora.job import run
from pipeline.training.engine import TorchEngine

WORDS = ["red", "green", "blue", "round", "small", "big", "stone", "river", "hill", "cloud", "tree", "bird", "fish"]
THETA = "agora.theta={learning_rates: [1e-3, 3e-3]}"
AS_PUBLISHED = ["agora.pool=development", "agora.points=mistakes"]
CLASSIFIER = ["agora.candidate={scheme: 8-8-8, depth: '1'}", THETA, "agora.max_rounds=2", "agora.num_per_point=2"]
CLASSIFIER += AS_PUBLISHED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The data of a classification task of pairs, in which a small model makes mistakes."""
    folder, draw = tmp_path_factory.mktemp("pairs"), random.Random(0)
    for split, count in (("train", 60), ("validation", 40), ("test", 30)):
        rows = []
        for number in range(count):
            first, words = draw.choice(WORDS), draw.choices(WORDS, k=4)
            label = "is red" if "red" in words or "hill" in words else "is not"
            rows.append(json.dumps({"text_a": f"{first} {split} {number}", "text_b": " ".join(words), "label": label}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows))
    return folder


def words_of(folder):
    sizes = [word for word in SIZES if not word.startswith("evaluation.latency")]
    return ["task=classification", "model=tiny_encoder", *sizes, "cluster=process", f"data.root={folder}", *CLASSIFIER]


@pytest.fixture(scope="module")
def finished(folder):
    """An undisturbed run of the job: (storage folder, document, stderr)."""
    code, out, err = called("agora_finetune", run, *words_of(folder), f"storage.path={folder / 'runs'}")
    assert code == 0, err
    return folder / "runs", json.loads(out.splitlines()[-1]), err


@pytest.fixture
def agora(folder):
    """Runs the job on these data: `agora(storage, *arguments) -> (exit code, document, stderr)`."""

    def call(storage, *arguments):
        code, out, err = called("agora_finetune", run, *words_of(folder), f"storage.path={storage}", *arguments)
        return code, json.loads(out.splitlines()[-1]), err

    return call


def rows_of(path):
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def test_a_round_adds_labelled_texts_near_mistakes(finished, folder):
    """Rounds, texts and calls of the teacher are counted; every added text is there to be read with its origin; the
    scores of the development set are marked; the test split is scored.
    """
    _, document, err = finished
    first, second = document["rounds"]
    assert first["num_points"] > 0 and 0 < first["num_added"] <= first["num_generated"] == document["labelled"]
    assert (second["num_generated"], document["trainings"], document["development_is_contaminated"]) == (0, 4, True)
    rows = rows_of(Path(document["report"]) / "added.jsonl")
    assert len(rows) == first["num_added"]
    validation = (folder / "validation.jsonl").read_text()
    assert all(json.dumps(row["origin"]["parent_source"]) in validation for row in rows)
    assert {row["target"] for row in rows} <= {"is red", "is not"}
    assert "are in the training set" in err
    assert 0 <= document["test"]["accuracy"] <= 100 and document["best"]["bytes"] > 0


def test_submitted_again_it_trains_nothing(finished, agora, monkeypatch):
    """The second submission finds candidates, texts and scores, and says the same."""
    storage, document, _ = finished
    for module in (candidates, answers, final_score):
        monkeypatch.setattr(module, "run_workers", None)
    code, again, err = agora(storage)
    assert code == 0, err
    assert again == document


def test_a_cohort_that_is_killed_while_it_is_finished_goes_on_as_it_was(finished, agora, monkeypatch, tmp_path):
    """Its first candidate is done; the second is packed from the checkpoint, without another step of training."""
    with monkeypatch.context() as patch:
        patch.setattr(fit_candidates, "_finish", killed_at_call(fit_candidates._finish, 2))
        code, _, err = agora(tmp_path)
        assert code == 3, err
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(TorchEngine, "step", lambda *_: steps.append(1))
        patch.setattr(candidates, "score_of", killed_at_call(candidates.score_of, 1))
        code, _, err = agora(tmp_path)
        assert code == 3, err
    assert not steps
    code, again, err = agora(tmp_path)
    assert code == 0, err
    assert again["rounds"] == finished[1]["rounds"]


@pytest.mark.parametrize("together_first", [True, False])
def test_a_cohort_goes_on_as_it_was_when_other_memory_is_free(finished, agora, monkeypatch, tmp_path, together_first):
    """Whether two candidates have become too large for one cohort, or could share one now: no step is done again."""
    memory_of, step, calls, steps = room._memory, TorchEngine.step, [], []
    shutil.copytree(finished[0] / "teachers", tmp_path / "teachers")

    def too_large(plan, members, lengths):
        return memory_of(plan, members, lengths) + 1e15 * (len(members) - 1)

    def counted(*arguments):
        calls.append(1)
        if len(calls) in killed:  # of one cohort of two the second step, of two cohorts of one each its second step
            raise RuntimeError("killed")
        steps.append(1)
        return step(*arguments)

    monkeypatch.setattr(TorchEngine, "step", counted)
    killed = {3} if together_first else {2, 4}
    for memory, expected in zip((memory_of, too_large)[:: 1 if together_first else -1], (3, 0), strict=True):
        monkeypatch.setattr(room, "_memory", memory)
        code, document, err = agora(tmp_path, "agora.max_rounds=1", "student.checkpoint_every_steps=1")
        assert code == expected, err
    assert len(steps) == 4  # two of each candidate
    assert document["rounds"][0]["development"] == finished[1]["rounds"][0]["development"]


def test_killed_it_goes_on_to_the_same_end(finished, agora, monkeypatch, tmp_path):
    """What an undisturbed run says, a run says that was killed in its first and in its second round."""
    for number in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(candidates, "run_workers", killed_at_call(candidates.run_workers, number))
            code, _, err = agora(tmp_path)
            assert code == 3, err
    code, again, err = agora(tmp_path)
    assert code == 0, err
    for name in ("rounds", "test", "stopped", "labelled", "teacher_calls", "trainings"):
        assert again[name] == finished[1][name]


@pytest.mark.parametrize(
    ("settings", "leaks"),
    [
        (["agora.pool=training"], False),
        (["agora.points=disagreement"], True),
        (["agora.points=random", "agora.max_points=5"], True),
    ],
)
def test_other_points_are_settings(finished, agora, settings, leaks):
    """Each adds texts, and says whether the development set leaks."""
    code, document, err = agora(finished[0], *settings)
    assert code == 0, err
    assert document["rounds"][0]["num_added"] > 0
    assert document["development_is_contaminated"] is leaks


def test_the_development_set_can_simply_be_added(finished, agora, folder):
    """The control that Agora must beat: all of it, as it is, under its own labels, without a call of the teacher."""
    words = ["agora.points=all", "agora.generators=[repeat]", "agora.num_per_point=1", "agora.labels=parent"]
    code, document, err = agora(finished[0], *words)
    assert code == 0, err
    known = {(row["text_a"], row["text_b"]): row["label"] for row in rows_of(folder / "validation.jsonl")}
    added = rows_of(Path(document["report"]) / "added.jsonl")
    assert {(row["source"], row["second"]): row["target"] for row in added} == known
    assert (len(added), document["labelled"]) == (40, 0)


def test_texts_without_labels_are_labelled_by_the_teacher(finished, agora, folder):
    """A file of texts alone is a pool, too; those of a split of the task are left out of it, and that is said."""
    rows = [{"text_a": f"stone {number}", "text_b": "red tree"} for number in range(9)]
    rows += [{name: row[name] for name in ("text_a", "text_b")} for row in rows_of(folder / "test.jsonl")[:4]]
    (folder / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["agora.pool=unlabelled", "agora.unlabelled=more.jsonl", "agora.points=random", "agora.generators=[repeat]"]
    code, document, err = agora(finished[0], *words, "agora.num_per_point=1")
    assert code == 0, err
    assert (document["rounds"][0]["num_added"], document["labelled"], document["teacher_calls"]) == (9, 9, 9)
    assert "4 of 13 texts" in err
    assert document["development_is_contaminated"] is False


def test_sequences_learn_by_the_analogue(job, small, tmp_path):
    """Of texts the worst part counts as mistakes, and the teacher's beams are the labels."""
    words = [word for word in small if not word.startswith("evaluation.latency")]
    words += [*AS_PUBLISHED, "agora.candidate={scheme: 2-2-8, depth: 3-1}", "agora.max_rounds=2"]
    words.append(f"storage.path={tmp_path / 'runs'}")
    code, out, err = job("agora_finetune", run, *words, base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert document["rounds"][0]["num_points"] == 3  # a quarter of twelve
    assert {"rougeLsum", "rougeLsum_low"} <= set(document["test"])


def test_a_candidate_starts_from_a_small_model_of_the_same_vocabulary(finished, agora, tmp_path):
    """It need not have the teacher's shape; one that reads other tokens is refused."""
    (tokenizer,) = (finished[0] / "cache" / "tokenizers").iterdir()
    tokens = AutoTokenizer.from_pretrained(tokenizer)
    shape = ArchitectureConfig(d_model=8, ffn_dim=16, num_heads=2, encoder_layers=3, max_positions=64)
    task = TaskConfig(objective="masked_lm")
    load_teacher(ModelConfig(family="roberta", architecture=shape), tokens, task, seed=0).save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    words = [f"agora.start={tmp_path}", "agora.candidate={scheme: 2-2-8, depth: '2'}"]
    code, document, err = agora(finished[0], *words)
    assert code == 0, err
    assert load_package(Path(document["best"]["package"]))[0].config.hidden_size == 8
    numbered_tokenizer(len(tokens)).save_pretrained(tmp_path)
    code, _, err = agora(finished[0], *words)
    assert code == 2
    assert "that is not the teacher's" in err.replace("\n", " ")


def test_a_plan_trains_nothing(folder, tmp_path):
    """`--dry-run` names the hyper-parameter sets and the most trainings."""
    code, out, err = called("agora_finetune", agora_job.dry_run, *words_of(folder), f"storage.path={tmp_path}")
    assert code == 0, err
    plan = json.loads(out.splitlines()[-1])
    assert (plan["thetas"], plan["max_trainings"]) == (["learning_rate=0.001", "learning_rate=0.003"], 4)


def test_a_development_set_that_overlaps_the_test_split_is_refused(folder, tmp_path):
    """With the number of examples that both have, before anything is trained."""
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text((folder / f"{split}.jsonl").read_text())
    with (tmp_path / "validation.jsonl").open("a") as file:
        file.write("\n" + "\n".join((tmp_path / "test.jsonl").read_text().splitlines()[:3]))
    code, _, err = called("agora_finetune", run, *words_of(tmp_path), f"storage.path={tmp_path / 'runs'}")
    assert code == 2
    assert "3 examples of the validation split" in err.replace("\n", " ")
    assert not (tmp_path / "runs" / "teachers").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["agora.generators=[repeat, mixing]"], "repeat alone"),
        (["agora.generators=[span_refill]"], "without agora.refill_model"),
        (["agora.pool=unlabelled"], "agora.unlabelled"),
        (["agora.candidate={scheme: 8-8-8, depth: '9'}"], "9"),
        (["agora.candidate={scheme: 8-8-8, depth: '1', heads: 0.5}"], "heads"),
        (["agora.candidate={scheme: 8-8-8, depth: '1', training: ptq}"], "training=ptq"),
        (["task.objective=masked_lm"], "task.objective"),
        (["agora.start=/nowhere"], "/nowhere"),
        (["agora.bounds={min_edit: 0.5, max_edit: 0.1}"], "min_edit"),
    ],
)
def test_mistakes_of_settings_are_told(agora, tmp_path, words, told):
    """What cannot be is refused with exit code 2."""
    code, _, err = agora(tmp_path, *words)
    assert code == 2
    assert told in err.replace("\n", " ")
