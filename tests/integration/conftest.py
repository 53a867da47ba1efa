"""Whole jobs on a small task, and what they leave."""

import json
import random
import sys

import mlflow
import pytest
from small_task import LENGTHS, SIZES, WORDS, called

from pipeline.config.job import job_of, known_keys
from pipeline.stages.command import main
from pipeline.stages.sweep import job as sweep_job


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """`task.corpus` for three JSONL files with columns of their own names."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    for split, count in (("train", 120), ("validation", 12), ("test", 15)):
        lines = []
        for _ in range(count):
            words = draw.choices(WORDS, k=draw.randint(5, 12))
            lines.append(json.dumps({"text": " ".join(words), "title": " ".join(words[:3])}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    files = ", ".join(f"{split}: {folder / split}.jsonl" for split in ("train", "validation", "test"))
    return f"task.corpus={{kind: files, source_column: text, target_column: title, files: {{{files}}}}}"


@pytest.fixture
def sizes():
    """Arguments that make models and training small, for tests with a task and a model of their own."""
    return [*SIZES, "cluster=process"]


@pytest.fixture(scope="session")
def small(corpus):
    """Arguments of a small sweep of that task in one process."""
    return [corpus, *LENGTHS, *SIZES, "cluster=process"]


@pytest.fixture(scope="session")
def served_sweep(tmp_path_factory, small):
    """A sweep of two registered students whose answers differ from text to text: (storage folder, document)."""
    storage = tmp_path_factory.mktemp("served")
    students = "sweep.students=[{scheme: 8-8-8, depth: 6-3}, {scheme: 2-2-8, depth: 3-1}]"
    words = [*small, "model=seed", students, "tracking.register=short titles", f"storage.path={storage}"]
    code, out, err = called("dq_sweep", sweep_job.run, *words)
    assert code == 0, err
    return storage, json.loads(out.splitlines()[-1])


@pytest.fixture
def served(monkeypatch):
    """Loads a logged model of a storage folder as MLflow does: `served(storage, uri)`."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow puts the model's own code in front

    def load(storage, uri):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{storage / 'mlflow.db'}")
        return mlflow.pyfunc.load_model(uri)

    return load


@pytest.fixture
def job(monkeypatch, capsys, small):
    """Run a job in this process: `job(name, run, *arguments) -> (exit code, stdout, stderr)`."""

    def call(name, run, *arguments, base=True):
        words = [word for word in small if name in known_keys()[word.partition("=")[0]]]
        monkeypatch.setattr(sys, "argv", [name, *(words if base else []), *arguments])
        code = main(job_of(name), "a job", run)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
