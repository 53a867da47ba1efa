"""Mistakes that users make: exit code 2, one paragraph on stderr, nothing left behind."""

import json

import pytest

from pipeline.config import login
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.stages.sweep.job import run
from pipeline.stages.use import generate_job
from pipeline.tracking.store import local_tracking_uri
from pipeline.tracking.tracker import Tracker

CASES = {
    "unknown key": (["student.learnig_rate=1"], "student.learning_rate"),
    "wrong type": (["cluster.num_workers=two"], "int"),
    "impossible bits": (["sweep.students=[{scheme: 5-8-8, depth: 6-3}]"], "(1, 1.58, 2, 3, 4, 8, 32)"),
    "depth larger than the teacher": (["sweep.students=[{scheme: 8-8-8, depth: 7-3}]"], "1 to 6 layers"),
    "student named twice": (["sweep.students=[{scheme: 8-8-8}, {scheme: 8-8-8}]"], "twice"),
    "missing column": (["task.corpus.source_column=txt"], "task.corpus.source_column=text"),
    "missing data file": (["task.corpus.files.test=/nowhere/test.jsonl"], "does not exist"),
    "unknown task": (["task=xsumm"], "did you mean task=xsum?"),
    "a task that is somebody's own": (
        ["task=dialogsum"],
        "set task=summarization, question_answering, translation or",
    ),
    "missing data files": (
        ["task.corpus.files={train: a.jsonl, validation: b.jsonl, test: c.jsonl}", "data.root=nowhere"],
        "a.jsonl does not exist (split 'train'); data file nowhere/b.jsonl does not exist (split 'validation');",
    ),
    "a source that is the target": (["task.corpus.source_column=title"], "which is task.corpus.source_column already"),
    "a second source that is the target": (["task.corpus.second_column=title"], "second_column=null"),
    "references that are the source": (["task.corpus.references_column=text"], "references_column=null"),
    "nothing left to train on": (["data.split_validation=0.5", "data.split_test=0.6"], "less than 1"),
    "unknown model folder": (["model.pretrained=/nowhere/model"], "/nowhere/model"),
    "unreachable Ray": (["cluster.launcher=ray", "cluster.address=127.0.0.1:1"], "cluster.address=127.0.0.1:1"),
    "unreachable MLflow": (["tracking.uri=http://127.0.0.1:1"], "http://127.0.0.1:1"),
    "more workers than a process": (["cluster.num_workers=2"], "cluster.launcher=ray"),
    "denoising as a sweep": (["task.objective=denoising"], "jobs/finetune_teacher.py"),
    "masked tokens as a sweep": (["task=plain_text"], "supervised or classification; masked_lm is for jobs/finetune"),
    "a tracking store that does not open": (["tracking.uri=postgresql://127.0.0.1:1/x"], "postgresql://127.0.0.1:1/x"),
    "limit beyond the positions": (["task.max_source_tokens=1000"], "at most 256"),
    "a student's recipe with an unknown key": (
        ["sweep.students=[{scheme: 2-2-8, label: x, recipe: {quantization: {lm_haed: false}}}]"],
        "quantization.lm_head",
    ),
    "a student's recipe without a label": (["sweep.students=[{recipe: {quantization: {lm_head: false}}}]"], "label"),
    "a clip that a quantizer would ignore": (
        ["recipe.quantization.clip_value=2.5", "recipe.quantization.weights.eight_bit=lsq"],
        "recipe.quantization.clip_value=null",
    ),
    "bits of a module that do not exist": (["recipe.quantization.bits=['model.shared=5']"], "recipe.quantization.bits"),
    "bits of a module that is not there": (["recipe.quantization.bits=['model.sharde=8']"], "model.sharde"),
    "groups that do not divide a row": (["recipe.quantization.weight_granularity=group_128"], "group_128"),
    "a released defect in another recipe": (["recipe.dqbart.as_released=true"], "recipe.dqbart.as_released=false"),
    "losses all switched off": (
        [
            "recipe.distillation={task: 0, logits: 0, encoder_attention: 0, decoder_attention: 0, cross_attention: 0,"
            " encoder_hidden: 0, decoder_hidden: 0}"
        ],
        "every weight 0",
    ),
    "a relation layer beyond the teacher's": (["recipe.distillation.decoder_relation_layer=6"], "0 to 5, or null"),
    "relation heads that do not divide the width": (
        ["sweep.students=[{label: x, recipe: {distillation: {encoder_relations: 1, relation_heads: 3}}}]"],
        "recipe.distillation.relation_heads=null",
    ),
    "an unknown family": (["model.family=gpt2"], "bart, bert, marian, mbart, mt5, pegasus, roberta, t5"),
    "a family that cannot generate": (["model.family=bert"], "one of bart, marian, mbart, mt5, pegasus, t5"),
    "no heads at all": (["sweep.students=[{scheme: 8-8-8, heads: 0}]"], "above 0, at most 1"),
    "groups where heads are removed": (
        [
            *("sweep.students=[{scheme: 8-8-8, heads: 0.5}]", "recipe.quantization.weight_granularity=group_32"),
            "model.architecture.d_model=32",
        ],
        "recipe.quantization.weight_granularity=per_row",
    ),
    "pruning of a student with all its heads": (
        ["sweep.students=[{scheme: 8-8-8, label: x, recipe: {pruning: {num_examples: 9}}}]"],
        "heads below 1",
    ),
    "published losses of some heads": (
        ["sweep.students=[{scheme: 8-8-8, heads: 0.5}]", "recipe=dqbart"],
        "recipe.distillation.reduction=token",
    ),
    "two students of one name": (
        [
            "sweep.students=[{label: x, recipe: {quantization: {attention: false}}},"
            " {label: x, recipe: {quantization: {lm_head: false}}}]"
        ],
        "or label them",
    ),
    "a schedule that is none": (["recipe.schedule=['0.5:8-8-8']"], "until=W-E-A"),
    "a schedule of bits that no weight has": (["recipe.schedule=['0.5=7-8-8']"], "(1, 1.58, 2, 3, 4, 8, 32)"),
    "one seed twice": (["sweep.seeds=[1,1]"], "sweep.seeds"),
    "labels that nobody reads": (["task.labels=[a,b]"], "task.labels with task.objective=supervised"),
    "a prefix for no family": (["task.family_prefixes={t6: 'x: '}"], "model family 't6'"),
    "split names without a hub": (["task.corpus.splits={test: b}"], "task.corpus.splits with kind=files"),
    "an unknown metric": (["task.metric=blue"], "rouge"),
    "a GPU that is not there": (["cluster.gpus_per_worker=1"], "cluster.gpus_per_worker=1"),
    "a login in an unreachable address": (["tracking.uri=http://bob:secret@127.0.0.1:1"], "http://***@127.0.0.1:1"),
    "not a key=value": (["student"], "key=value"),
    "storage that cannot be": (["storage.path=/proc/nothing"], "storage.path"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_one_clear_paragraph(name, job, tmp_path, monkeypatch):
    """It says what was given, what is allowed and what to change, before any training and leaving no result."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments, expected = CASES[name]
    storage = [] if any("storage.path" in word for word in arguments) else [f"storage.path={tmp_path / 'runs'}"]
    code, out, err = job("dq_sweep", run, *storage, *arguments)
    message = err[err.index("dq_sweep:") :]
    flat = " ".join(message.split())
    assert code == 2
    assert json.loads(out)["status"] == "mistake"
    assert expected in flat
    assert "Allowed:" in flat
    assert "Change:" in flat
    assert "\n\n" not in message.strip()
    assert "secret" not in err
    left = {path.name for path in (tmp_path / "runs").iterdir()} if (tmp_path / "runs").is_dir() else set()
    assert left <= {"cache", "mlflow.db"}  # the empty store


def test_an_empty_or_unreadable_file_is_named(job, tmp_path):
    """The message holds the path."""
    for content in ("", "{not json"):
        path = tmp_path / "test.jsonl"
        path.write_text(content)
        code, _, err = job("dq_sweep", run, f"storage.path={tmp_path / 'runs'}", f"task.corpus.files.test={path}")
        assert code == 2
        assert str(path) in err.replace("\n", "")


def test_a_dead_ray_address_is_named(job, tmp_path, monkeypatch):
    """`auto` obeys RAY_ADDRESS; the message says so at once."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    code, _, err = job("dq_sweep", run, f"storage.path={tmp_path}", "cluster.launcher=ray")
    assert (code, "RAY_ADDRESS=127.0.0.1:1" in " ".join(err.split())) == (2, True)


def test_a_deleted_experiment_is_refused_before_anything_is_prepared(job, tmp_path):
    """Of a job that would train, and of those that only look; with what restores it."""
    tracker = Tracker(local_tracking_uri(tmp_path), "dq-bart", tmp_path)
    tracker.client.delete_experiment(tracker.experiment_id)
    jobs = {"dq_sweep": (run, []), "generate": (generate_job.run, ["a run", "a text"])}
    for name, (call, words) in jobs.items():
        code, _, err = job(name, call, f"storage.path={tmp_path}", *words, base=name == "dq_sweep")
        flat = " ".join(err.split())
        assert (code, "experiment 'dq-bart' is deleted" in flat) == (2, True), err
        assert "experiments restore --experiment-id 1" in flat and "set tracking.experiment" in flat
    assert not [path for path in (tmp_path / "cache").glob("*") if path.name in ("tokens", "tokenizers")]


def test_a_relative_storage_path_is_refused_in_a_submitted_job(job, monkeypatch):
    """Its working directory vanishes with the job."""
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    code, _, err = job("dq_sweep", run, "storage.path=runs")
    assert code == 2
    assert "DQ_STORAGE" in err


def test_a_full_disk_and_too_little_memory_are_refused(job, tmp_path, monkeypatch):
    """Both are known before training."""
    import psutil

    import pipeline.storage.layout as storage

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("memory", (), {"available": 10 << 20})())
    code, _, err = job("dq_sweep", run, f"storage.path={tmp_path}")
    assert (code, "the teacher needs about" in " ".join(err.split())) == (2, True)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1 << 20})())
    code, _, err = job("dq_sweep", run, f"storage.path={tmp_path}")
    assert (code, "MiB free" in " ".join(err.split())) == (2, True)


def test_what_only_libraries_know_is_told_together(job, tmp_path, monkeypatch):
    """Store, cluster and every student's scheme: checked side by side, before the data are read."""
    monkeypatch.setattr(login, "_known", {})  # other tests have given one for this address
    students = "[{label: x, recipe: {quantization: {bits: ['model.sharde=8']}}}, {label: y, recipe: {quantization: "
    students += "{weight_granularity: group_128}}}]"
    words = ["tracking.uri=http://127.0.0.1:1", "cluster.num_workers=2", f"sweep.students={students}"]
    code, out, err = job("dq_sweep", run, f"storage.path={tmp_path}", *words)
    assert (code, err.splitlines()[0]) == (2, "dq_sweep: 4 mistakes")
    told = json.loads(out)["error"]
    assert all(part in told for part in ("http://127.0.0.1:1", "cluster.num_workers=2", "model.sharde", "group_128"))
    assert "scored by" not in out + err and not list(tmp_path.glob("cache/tokens/*"))


def test_a_model_of_the_hub_is_held_to_the_same_rules(monkeypatch, tmp_path):
    """What is known of it only after its configuration was read: family, positions, depths."""
    from transformers import BartConfig

    from pipeline.config.errors import UserError
    from pipeline.config.load import load_config
    from pipeline.stages import job as opened

    monkeypatch.setattr(
        opened, "pretrained_config", lambda *_: BartConfig(encoder_layers=2, max_position_embeddings=100)
    )
    words = ["model.pretrained=owner/name", f"storage.path={tmp_path}", "cluster=process", "task=translation"]
    with pytest.raises(UserError, match="at most 100, the positions of model") as caught:
        opened.open_job(load_config(SweepJob, [*words, "cluster.num_workers=2"]))
    assert len(caught.value.errors) == 2
