"""The smallest sweep of the project against a server, and what MLflow then shows of it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaos.fault import check
from chaos.process import Answer, Doing, Moment
from chaos.scene import SWEEP, References, Scene, results

TIMES = ("second", "_per_", "time", "memory", "faster", "clock", "bytes_read", "loadavg", "rss")
SECONDS = 900.0  # until a sweep hangs: on a busy machine it takes minutes
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


class Sweeps:
    """Sweeps of one corpus, each with a storage folder and an experiment of its own.

    Args:
        folder: below which they lie.
        login: user and password.
    """

    def __init__(self, folder: Path, login: tuple[str, str]) -> None:
        self.folder, self.login = folder, login

    def run(
        self,
        name: str,
        url: str,
        words: Sequence[str] = (),
        *,
        login: tuple[str, str] | None = None,
        at: Sequence[Moment] = (),
        doing: Doing | None = None,
    ) -> tuple[Answer, dict[str, Any]]:
        """Run one to its end; returns how it ended, and the models and scores that it left.

        The store's keys are in no variable of its process.

        Raises:
            BrokenError: it hangs, shows a traceback, or a moment never came.
        """
        scene = Scene(self.folder / name, References(self.folder / "references"))
        environment = dict(zip(LOGIN, login or self.login, strict=True))
        with without_keys():
            words = [*SWEEP, f"tracking.uri={url}", f"tracking.experiment={name}", *words]
            answer = scene.start(words, moments=at, doing=doing, environment=environment).end(SECONDS)
        check(answer.num_held == len(at), "a moment never came", answer.last_words)
        check("Traceback" not in answer.said, "no traceback", answer.last_words)
        left = {key: value for key, value in results_of(scene, answer).items() if key != "runs"}
        return answer, left


def results_of(scene: Scene, answer: Answer) -> dict[str, Any]:
    """Models, scores and half-written files of a sweep whose runs are on a server."""
    return results(scene.storage, answer.document) if answer.code == 0 else {}


@contextmanager
def without_keys() -> Iterator[None]:
    """Nothing of the store in this process's environment, which a job inherits."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("AWS_", "MLFLOW_"))}
    try:
        yield
    finally:
        os.environ.update(taken)


def shown(url: str, login: tuple[str, str], experiments: Sequence[str] | None = None) -> dict[str, Any]:
    """All that MLflow's client shows: by experiment and run its state, parameters, tags, metrics by step, artifacts.

    Args:
        url: of the server.
        login: user and password.
        experiments: of these names alone; none: of all.
    """
    client = client_of(url, login)
    found: dict[str, Any] = {}
    for experiment in client.search_experiments():
        if experiments is None or experiment.name in experiments:
            runs = client.search_runs([experiment.experiment_id], max_results=500)
            found[experiment.name] = {run.info.run_id: _run(client, run) for run in runs}
    return found


def registered(url: str, login: tuple[str, str]) -> list[Any]:
    """Name, version, run and aliases of every registered model's versions."""
    client = client_of(url, login)
    versions = [client.get_model_version(one.name, one.version) for one in client.search_model_versions()]
    return sorted([one.name, str(one.version), one.run_id, sorted(one.aliases)] for one in versions)


def client_of(url: str, login: tuple[str, str]) -> Any:
    """MLflow's client, logged in."""
    from mlflow import MlflowClient

    os.environ.update(zip(LOGIN, login, strict=True))
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    return MlflowClient(tracking_uri=url)


def _run(client: Any, run: Any) -> dict[str, Any]:
    histories = {
        key: sorted([one.step, one.timestamp, one.value] for one in client.get_metric_history(run.info.run_id, key))
        for key in run.data.metrics
    }
    with tempfile.TemporaryDirectory() as folder:
        client.download_artifacts(run.info.run_id, "", folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        digests = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "metrics": histories,
        "artifacts": digests,
    }


def timeless(runs: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """What two sweeps of the same corpus must have in common: kinds, states, and metrics by step, but for times."""
    return sorted(
        [
            run["tags"].get("dq.kind"),
            run["name"],
            run["status"],
            sorted(run["artifacts"]),
            {
                key: [[step, value] for step, _, value in values]
                for key, values in sorted(run["metrics"].items())
                if not any(word in key for word in TIMES)
            },
        ]
        for run in runs.values()
    )


def sizes(found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How much that is."""
    runs = [run for experiment in found.values() for run in experiment.values()]
    return {
        "experiments": len(found),
        "runs": len(runs),
        "metric_values": sum(len(values) for run in runs for values in run["metrics"].values()),
        "artifacts": sum(len(run["artifacts"]) for run in runs),
    }
