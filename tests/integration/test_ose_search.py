"""Searches: the answer and what it is worth, nothing measured twice, other limits, a sweep of what was chosen."""

import json
import math

import pytest
from mlflow import MlflowClient
from small_task import called

from pipeline.search.front import front
from pipeline.stages.search import seen, try_candidates
from pipeline.stages.search.job import dry_run, resolve, run
from pipeline.stages.search.seen import FILE, Failure, Seen, read_seen
from pipeline.stages.sweep.job import run as run_sweep

SPACE = "search.students={encoder_layers: [2, 1], decoder_layers: [1], weight_bits: [8, 2], embedding_bits: [8, 2]}"
STEPS = ("search.steps=[1,2]", "search.eps=2", "search.brute_force_points=8", "student.warmup_fraction=0.0")
SEARCH = (SPACE, *STEPS, "search.name=first")
KEYS = {"candidates", "best", "bound", "brute_force", "front"}


def last(out):
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def searched(small, tmp_path_factory):
    """(storage folder, document) of a search whose optimum is known."""
    storage = tmp_path_factory.mktemp("searched")
    words = [word for word in small if "latency_examples" not in word]
    code, out, err = called("ose_search", run, *words, *SEARCH, f"storage.path={storage}")
    assert code == 0, err
    return storage, last(out)


@pytest.fixture
def ask(job, searched):
    """`ask(*words)`: (exit code, document, stderr) of the same search with other words."""
    storage, _ = searched

    def call(*words, how=run, name="ose_search"):
        code, out, err = job(name, how, f"storage.path={storage}", *(SEARCH if name == "ose_search" else ()), *words)
        return code, last(out), err

    return call


def seen_files(storage):
    return {path: path.stat().st_mtime_ns for path in storage.rglob(FILE)}


def test_the_answer_is_the_best_of_the_cover_by_w(searched):
    """Recomputed from costs and errors of the document alone; the optimum is that of all."""
    _, document = searched
    assert document["status"] == "finished" and set(document) >= KEYS
    assert (document["candidates"], document["tried"]) == (8, 4)
    best, optimum = document["best"], document["brute_force"]
    assert set(best) >= {"architecture", "bytes", "ms", "error", "W"}
    assert optimum["w"] >= best["W"] and optimum["w_lost"] == pytest.approx(1 - best["W"] / optimum["w"])
    assert document["bound"]["published"] == 1 and document["bound"]["upper_bound"] >= best["W"]


def test_no_candidate_of_the_front_beats_another(searched):
    """In bytes and in error; without times those are all that there is."""
    rows = [(point["bytes"], point["error"]) for point in searched[1]["front"]]
    assert rows and len(front(rows)) == len(rows)


def test_a_search_again_measures_nothing_and_says_the_same(searched, ask):
    """Whatever was seen lies on the disk; its files are not even written again."""
    storage, document = searched
    before = seen_files(storage)
    code, again, err = ask()
    assert code == 0 and "8 known, 0 to be trained" in err
    assert {key: again[key] for key in KEYS} == {key: document[key] for key in KEYS}
    assert seen_files(storage) == before and len(before) == 8


def test_every_candidate_is_a_run_below_the_search(searched):
    """With its costs, its errors by step, and W."""
    storage, document = searched
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{document['run_id']}'")
    assert len(runs) == 8 and {run.info.status for run in runs} == {"FINISHED"}
    best = next(run for run in runs if run.info.run_name == document["best"]["name"])
    assert best.data.metrics["error"] == document["best"]["error"] and best.data.metrics["w"] == document["best"]["W"]
    assert [one.step for one in client.get_metric_history(best.info.run_id, "error")] == [1, 2]


def test_a_search_that_was_killed_goes_on_to_the_same_answer(job, searched, tmp_path, monkeypatch):
    """Killed after the first errors were seen, and submitted again."""
    seen, add = [], try_candidates.add_error

    def killed(folder, step, error):
        if len(seen) == 5:
            raise RuntimeError("killed")
        seen.append(folder)
        add(folder, step, error)

    words = (*SEARCH, f"storage.path={tmp_path}", "student.checkpoint_every_steps=1")
    with monkeypatch.context() as patched:
        patched.setattr(try_candidates, "add_error", killed)
        assert job("ose_search", run, *words)[0] == 3
    code, out, err = job("ose_search", run, *words)
    assert code == 0, err
    document = last(out)
    assert {key: document[key] for key in KEYS} == {key: searched[1][key] for key in KEYS}
    assert not list(tmp_path.rglob("checkpoints/*"))


def test_another_limit_is_answered_from_what_is_stored(searched, ask):
    """The least error within it; nothing is trained."""
    storage, document = searched
    before, limit = seen_files(storage), document["front"][0]["bytes"] + 1
    code, found, _ = ask(f"search.max_mib={limit / 2**20!r}", "search.eps=1", how=resolve)
    assert code == 0 and found["best"]["bytes"] <= limit
    assert found["tried"] == found["candidates"] < 8 and seen_files(storage) == before
    assert found["brute_force"]["error_lost"] == 0


@pytest.mark.parametrize("is_left", [False, True], ids=["one diverged", "the largest alone did not"])
def test_what_diverged_is_no_answer_and_not_on_the_front(ask, monkeypatch, is_left):
    """Nor does a sweep train it, however small it is, and even where the W of what has learned is 0."""
    every = ask("search.num_chosen=8", "search.eps=1", how=resolve)[1]["chosen"]
    one = max(every, key=lambda point: point["bytes"]) if is_left else min(every, key=lambda point: point["bytes"])
    read = seen.read_seen

    def with_divergence(folder):
        found = read(folder)
        return (
            found
            if (found.after(2) == one["error"]) is is_left
            else Seen(failure=Failure(step=1, reason="the loss is not finite"))
        )

    monkeypatch.setattr(seen, "read_seen", with_divergence)
    code, found, err = ask("search.num_chosen=8", "search.eps=1", how=resolve)
    assert code == 0, err
    learned = {one["name"]} if is_left else {point["name"] for point in every} - {one["name"]}
    assert {point["name"] for point in found["chosen"]} == learned and found["best"]["name"] in learned
    assert {point["name"] for point in found["front"]} <= learned
    assert all(math.isfinite(point["error"]) for point in found["chosen"])


@pytest.fixture
def looks(monkeypatch):
    """(folder of a trial, step) of every error that is written down."""
    found, add = [], try_candidates.add_error

    def noted(folder, step, error):
        found.append((folder, step))
        add(folder, step, error)

    monkeypatch.setattr(try_candidates, "add_error", noted)
    return found


def test_halving_trains_the_better_half_on(job, tmp_path, looks):
    """From where it was; those given up say so in their runs, and their number is that of the rule."""
    words = (*SEARCH, "search.rule=halving", "search.eps=1", "search.brute_force_points=0", f"storage.path={tmp_path}")
    code, out, err = job("ose_search", run, *words, "search.seeds=2")
    assert code == 0, err
    document = last(out)
    assert (document["tried"], document["brute_force"]) == (4, None)
    assert len(set(looks)) == len(looks) == 16 + 8
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()], "tags.`dq.kind`='candidate'")
    given_up = [run.data.tags["dq.stopped"] for run in runs if run.info.status == "KILLED"]
    assert given_up == ["given up after 1 of 2 steps: 4 of 8 go on, by W"] * 8 and len(runs) == 16


def test_what_halving_gave_up_is_trained_where_everything_is_tried(job, searched, tmp_path):
    """The optimum is that of the search that gave nothing up."""
    words = (*SEARCH, "search.rule=halving", "search.eps=1", f"storage.path={tmp_path}")
    code, out, err = job("ose_search", run, *words)
    assert code == 0, err
    document = last(out)
    assert document["tried"] == 4
    optimum = searched[1]["brute_force"]
    assert {name: document["brute_force"][name] for name in ("name", "w", "error")} == {
        name: optimum[name] for name in ("name", "w", "error")
    }


def test_a_checkpoint_beyond_a_step_is_none_for_who_asks_for_that_step(job, searched, tmp_path, monkeypatch):
    """A search that was killed behind it, and is submitted with more steps to compare, looks there, too."""

    def killed(folder, step, error):
        raise RuntimeError("killed")

    words = (SPACE, "search.eps=2", "student.warmup_fraction=0.0", f"storage.path={tmp_path}")
    words += ("student.checkpoint_every_steps=1", "search.name=first")
    with monkeypatch.context() as patched:
        patched.setattr(try_candidates, "add_error", killed)
        assert job("ose_search", run, *words, "search.steps=[2]")[0] == 3
    assert list(tmp_path.rglob("latest"))
    code, out, err = job("ose_search", run, *words, "search.steps=[1,2]", "search.rule=halving", "search.keep=1.0")
    assert code == 0, err
    assert last(out)["best"] == searched[1]["best"]


def test_the_learning_rate_of_the_answer_is_searched_and_one_that_diverges_is_none(ask, looks):
    """It goes with the student to a sweep; the errors under the other are infinite from some step on."""
    words = ("search.learning_rates=[1e30, 1e-3]", "search.eps=8", "search.brute_force_points=0", "search.name=rates")
    code, document, err = ask(*words)
    assert code == 0, err
    assert document["best"]["learning_rate"] == 1e-3 and math.isfinite(document["best"]["error"])
    seen = [read_seen(folder) for folder in {folder for folder, _ in looks}]
    assert sorted(math.isinf(one.after(2)) for one in seen) == [False, True]
    code, document, err = ask("sweep.search=rates", how=run_sweep, name="dq_sweep")
    assert code == 0, err
    student = document["students"][0]  # others of its recipe that lie there follow
    assert student["name"].endswith(" 1-1 lr=0.001")


def test_a_sweep_trains_what_was_chosen(searched, ask):
    """The answer is its student, packed to the bytes that the search has named."""
    code, document, err = ask("sweep.search=first", how=run_sweep, name="dq_sweep")
    assert code == 0, err
    student = document["students"][0]  # others of its recipe that lie there follow
    best = searched[1]["best"]
    assert (student["name"], student["metrics"]["size_bytes"]) == (best["name"], best["bytes"])


def test_an_error_after_some_steps_is_that_of_a_student_in_training(searched, ask):
    """A candidate sees the first steps of the training that a sweep would give it."""
    words = ("sweep.students=[{scheme: 8-8-8, depth: 2-1}, {scheme: 2-2-8, depth: 1-1}]", "sweep.stopping.among=cohort")
    words += ("sweep.stopping={rule: halving, fractions: [0.5], keep: 1.0}", "student.warmup_fraction=0.0")
    code, document, err = ask(*words, how=run_sweep, name="dq_sweep")
    assert code == 0, err
    (front_point,) = (one for one in searched[1]["front"] if one["name"] == "2-2-8 1-1")
    found = {one["name"]: one["metrics"]["validation_loss"] for one in document["students"]}
    assert found["2-2-8 1-1"] == front_point["error"]


TIMED = (
    "search.inference=latency_ms",
    "search.latency={max_measured: 2, source_tokens: 8, new_tokens: 2, rounds: 1, runtimes: [torch]}",
)


def test_a_plan_without_times_says_so_and_nothing_is_resolved_without(ask):
    """Operations stand for the times that decide; limits of times that nobody has measured are not taken to be met."""
    code, document, err = ask(*TIMED, how=dry_run)
    assert code == 0 and len(document["cover"]) == 4 and "times of 8 candidates are unknown" in err
    for words in (TIMED, (TIMED[1], "search.max_ms=1000")):
        code, document, _ = ask(*words, how=resolve)
        assert code == 2 and "nobody has measured the times of 8 candidates" in document["error"]


def test_models_from_scratch_are_searched_without_a_teacher(job, tmp_path):
    """Under a maximum point of their own, beside a named point."""
    space = (
        "search.models={encoder_layers: [1, 2], decoder_layers: [1], heads: [2, 4], hidden: [16], intermediate: [16]"
    )
    point = "{encoder_layers: 3, decoder_layers: 2, heads: 4, hidden: 32, intermediate: 64}"
    words = ("search.kind=models", f"{space}, maximum: {point}, named: {{large: {point}}}}}", *STEPS)
    path = f"storage.path={tmp_path}"
    code, out, err = job("ose_search", run, *words, path, "search.distil=false", "search.size=parameters")
    assert code == 0, err
    document = last(out)
    assert document["candidates"] == 4 and set(document["named"]) == {"large", "T"}
    assert all(math.isfinite(point["error"]) for point in document["front"])
    assert not (tmp_path / "teachers").exists()
    code, out, err = job("ose_search", run, *words, path)
    assert code == 0, err  # with a teacher, whose logits they imitate
    assert (tmp_path / "teachers").exists()


def test_a_plan_trains_and_measures_nothing(job, tmp_path):
    """It says how many trials there are and about how long they take."""
    code, out, err = job("ose_search", dry_run, *SEARCH, f"storage.path={tmp_path}")
    document = last(out)
    assert code == 0 and (document["candidates"], document["num_trials"]) == (8, 8), err
    assert len(document["cover"]) == 4 and 0 < document["hours"] < 1
    assert not list(tmp_path.rglob(FILE)) and not (tmp_path / "teachers").exists()


def test_times_that_decide_and_that_nobody_has_measured_are_no_times(ask):
    """Neither a limit nor W is taken as met without them."""
    for words in ("search.max_ms=5", "search.inference=latency_ms"):
        code, document, err = ask(words, "search.latency.max_measured=4", how=resolve)
        assert code == 2 and "nobody has measured the times of 8 candidates" in document["error"], err


TOO_SMALL = (
    "search.models={encoder_layers: [1, 2], decoder_layers: [1], heads: [2], hidden: [16], intermediate: [16], "
    "maximum: {encoder_layers: 1, decoder_layers: 1, heads: 2, hidden: 16, intermediate: 16}}"
)
BAD = [
    (["search.eps=9"], "eps = 9 for 8 candidates"),
    (["search.max_mib=0.001"], "the nearest has: '2-2-8 1-1'"),
    (["search.max_hours=0.00000001", "search.seeds=[1]"], "the workers (cluster=process) do not count"),
    (["search.kind=models", "search.distil=false", TOO_SMALL], "a maximum point that no candidate exceeds"),
    (["search.steps=[5]"], "beyond student.max_steps=4"),
    (["search.kind=models", "search.models.decoder_layers=[]"], "it has a decoder"),
    (["search.kind=mixed_bits", "search.mixed={depth: 2-1, max_mib: 0.001, bits: [2, 8]}"], "the fewest bits take"),
    (
        ["search.kind=mixed_bits", "search.mixed={depth: 2-1}", "search.seeds=2"],
        "search.seeds=2 with search.kind=mixed",
    ),
    (["search.kind=mixed_bits", "search.mixed={depth: 2-1}", "recipe.quantization.bits=['*fc1=32']"], "not look at it"),
    (["search.kind=mixed_bits", "search.mixed={depth: 2-1}", "search.max_mib=0.03"], "within the limit of the answer"),
    (["search.learning_rates=[0.1,.inf]"], "finite numbers"),
    (["search.students.weight_bits=[9]"], "change search.students: weight, embedding and activation bits"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[said for _, said in BAD])
def test_what_cannot_be_searched_is_said(ask, words, said):
    """Exit code 2, what was given, what is allowed, what to change; nothing is trained."""
    code, document, err = ask(*words)
    assert code == 2 and said in document["error"], err


def test_a_sweep_finds_a_search_by_its_name_alone(ask):
    """A path that leads to the same folder is no name."""
    code, document, _ = ask("sweep.search=../finished/first", how=run_sweep, name="dq_sweep")
    assert code == 2 and "there is no finished search of that name" in document["error"]


def test_data_that_have_changed_are_no_longer_those_of_the_search(searched, ask):
    """A sweep refuses its answer, and nothing is resolved from it."""
    fewer = "task.corpus.max_train_examples=100"
    code, document, _ = ask(fewer, "sweep.search=first", how=run_sweep, name="dq_sweep")
    assert code == 2 and "a search on other data" in document["error"]
    code, document, _ = ask(fewer, how=resolve)
    assert code == 2 and "none of 8 candidates was tried" in document["error"]
