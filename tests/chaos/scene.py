"""A storage folder, a small corpus and the jobs that work there, with what they gave when nobody disturbed them."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from small_task import LENGTHS, SIZES, WORDS

from chaos.fault import BrokenError, check
from chaos.process import Answer, Doing, Job, Moment

STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 1-1}, {scheme: 2-2-8, depth: 1-1}]"
LIGHT = [
    "cluster=process",
    "cluster.engine=torch",
    "cluster.precision=fp32",
    "evaluation.num_samples=0",
    "evaluation.latency_examples=0",
]
STEPS = ["student.epochs=2", "student.max_steps=6", "student.checkpoint_every_steps=2"]
SWEEP = ["jobs/dq_sweep.py", *LENGTHS, *SIZES, *LIGHT, STUDENTS, *STEPS]
SIZES_OF_SPLITS = (("train", 120), ("validation", 12), ("test", 15))


class Scene:
    """Where one case happens.

    Args:
        folder: of its own, empty.
        references: what undisturbed jobs gave, shared by scenes.
        seed: of the corpus.
        storage: another scene's, where they share it; none: one of its own.
    """

    def __init__(self, folder: Path, references: References, *, seed: int = 0, storage: Path | None = None) -> None:
        self.folder, self.references, self.seed = folder, references, seed
        self.storage, self.corpus = storage or folder / "storage", folder / "corpus"
        write_corpus(self.corpus, seed)

    def words(self, command: Sequence[str]) -> list[str]:
        """A command with this scene's data and storage."""
        return [*command, corpus_word(self.corpus), f"storage.path={self.storage}"]

    def start(self, command: Sequence[str] = SWEEP, **how: Any) -> Job:
        """Start a job here; see `Job`."""
        return Job(self.words(command), root=self.storage, **how)

    def run(
        self, command: Sequence[str] = SWEEP, *, at: Sequence[Moment] = (), doing: Doing | None = None, **how: Any
    ) -> Answer:
        """Run a job to its end.

        Raises:
            BrokenError: it hangs, it says nothing that a person can use, or a moment never came.
        """
        answer = self.start(command, moments=at, doing=doing, **how).end()
        check(answer.num_held == len(at), "a moment never came", answer.last_words)
        of_ray = "cluster.address=local" in command  # it logs tracebacks of workers that it starts again
        check(of_ray or "Traceback" not in answer.said, "a traceback", answer.last_words)
        return answer

    def leave(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def is_undisturbed(
        self,
        command: Sequence[str] = SWEEP,
        *,
        like: Sequence[str] | None = None,
        storage: Path | None = None,
        **how: Any,
    ) -> None:
        """Submit the command, once more or for the first time: the results are those of an undisturbed run.

        Args:
            command: that was disturbed.
            like: the command that the undisturbed run has, where that is another one.
            storage: the storage folder as it is seen here, where the job has another view.
            how: as of `run`.

        Raises:
            BrokenError: they are not.
        """
        answer = self.run(command, **how)
        check(answer.code == 0, "submitted again it did not finish", answer.last_words)
        self.is_whole(answer, like or command, storage=storage)

    def is_whole(
        self,
        answer: Answer,
        command: Sequence[str] = SWEEP,
        *,
        storage: Path | None = None,
        without: Sequence[str] = (),
    ) -> None:
        """A job's answer and what lies here are those of an undisturbed run, and MLflow shows each run once, ended.

        Args:
            answer: of the job.
            command: of the undisturbed run.
            storage: the storage folder as it is seen here, where the job has another view.
            without: what is not compared.

        Raises:
            BrokenError: they are not.
        """
        expected = self.references.of(command, self.seed)
        found = results(storage or self.storage, answer.document)
        for name in expected.keys() - set(without):
            check(
                found[name] == expected[name], f"another result: {name}", f"{found[name]} instead of {expected[name]}"
            )


class References:
    """Results of undisturbed jobs, each made once.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()

    def of(self, command: Sequence[str], seed: int = 0) -> dict[str, Any]:
        """What a command gives with a corpus when nothing happens to it.

        Raises:
            BrokenError: it fails.
        """
        key = hashlib.sha256(json.dumps([*command, seed]).encode()).hexdigest()[:12]
        with self.lock:
            return self._of(command, seed, key)

    def _of(self, command: Sequence[str], seed: int, key: str) -> dict[str, Any]:
        kept = self.folder / f"{key}.json"
        if not kept.exists():
            scene = Scene(self.folder / key, self, seed=seed)
            answer = scene.run(command)
            if answer.code != 0:
                raise BrokenError(f"undisturbed it fails, too: {answer.last_words}")
            kept.write_text(json.dumps(results(scene.storage, answer.document)))
            shutil.rmtree(scene.folder)
        found: dict[str, Any] = json.loads(kept.read_text())
        return found


def results(storage: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """What must not depend on what happened on the way: scores, every byte of the models, kinds and states of runs."""
    sweep = document.get("sweep", "*")
    models = [
        *storage.glob(f"teachers/{document.get('teacher', {}).get('key', '*')}/model/model.safetensors"),
        *storage.glob(f"sweeps/{sweep}/students/*/packed/*.safetensors"),
    ]
    digests = {str(path.relative_to(storage)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(models)}
    scores = {
        student["name"]: {
            name: value
            for name, value in student["metrics"].items()
            if name.startswith("test_") or name.endswith(("loss", "size_bytes"))
        }
        for student in document.get("students", [])
    }
    return {"models": digests, "scores": scores, "runs": runs(storage), "halves": halves(storage)}


def runs(storage: Path) -> list[list[str]]:
    """Kind and state of every run."""
    with tempfile.TemporaryDirectory() as copy:  # SQLite follows /proc/.../root out of a namespace, others do not
        for file in storage.glob("mlflow.db*"):
            shutil.copy(file, copy)
        client = MlflowClient(tracking_uri=f"sqlite:///{copy}/mlflow.db")
        found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return sorted([run.data.tags.get("dq.kind", "?"), run.info.status] for run in found)


def halves(storage: Path) -> list[str]:
    """Files under their final names that are empty or end before they should."""
    found = []
    for path in sorted(storage.rglob("*.json")):
        if (
            any(part.startswith((".", "damaged-")) for part in path.relative_to(storage).parts)
            or path.parent.name == "lease"
        ):
            continue
        try:
            json.loads(path.read_bytes())
        except ValueError:
            found.append(str(path.relative_to(storage)))
    return found


def write_corpus(folder: Path, seed: int = 0) -> None:
    """Three splits of made-up sentences, titled by their beginning."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for split, count in SIZES_OF_SPLITS:
        lines = []
        for _ in range(count):
            words = draw.choices(WORDS, k=draw.randint(5, 12))
            lines.append(json.dumps({"text": " ".join(words), "title": " ".join(words[:3])}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines))


def corpus_word(folder: Path) -> str:
    """The setting that names the splits of a folder."""
    files = ", ".join(f"{split}: {folder / split}.jsonl" for split, _ in SIZES_OF_SPLITS)
    return f"task.corpus={{kind: files, source_column: text, target_column: title, files: {{{files}}}}}"
