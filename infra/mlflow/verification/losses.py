"""What a sweep leaves, whatever happens to the database and the servers, and what a backup gives back."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.fault import check
from chaos.faults.processes import MOMENTS
from chaos.process import GO_ON

from verification.processes import UID
from verification.stage import JOB, READER, Stage, restored, schema
from verification.sweeps import registered, shown, sizes, timeless

OUTAGE_SECONDS = 8.0  # longer than a job's first three tries
AT = tuple(MOMENTS[name] for name in ("second step of the students", "a package is written", "report"))


def a_sweep_runs(stage: Stage) -> dict[str, Any]:
    """As a user who is no admin; artifacts go through the proxy into the bucket; the other server shows the same."""
    first, second = stage.servers
    answer, left = stage.sweeps.run("undisturbed", first.url, ["tracking.register=dq-verification"])
    check(answer.code == 0, "it finishes", answer.last_words)
    found = shown(first.url, JOB, ["undisturbed"])
    check(found == shown(second.url, READER, ["undisturbed"]), "both servers show the same")
    states = {run["status"] for run in found["undisturbed"].values()}
    check(states == {"FINISHED"}, "all runs are finished", states)
    objects = stage.place.store.keys("mlflow-artifacts")
    check(len(objects) >= sizes(found)["artifacts"] > 0, "artifacts lie in the bucket", len(objects))
    stage.undisturbed = {"left": left, "runs": timeless(found["undisturbed"])}
    return sizes(found) | {"objects": len(objects)}


def a_database_that_crashes_loses_nothing(stage: Stage) -> dict[str, Any]:
    """Killed three times in the middle of a sweep, each time for seconds: the same runs, metrics and models."""
    return _disturbed(stage, "database", stage.place.postgresql.crash, stage.place.postgresql.start)


def a_server_that_is_killed_loses_nothing(stage: Stage) -> dict[str, Any]:
    """Likewise the server that the job speaks to."""
    return _disturbed(stage, "server", stage.servers[0].kill, stage.servers[0].start)


def _disturbed(stage: Stage, name: str, down: Callable[[], None], up: Callable[[], float]) -> dict[str, Any]:
    comes_back: list[threading.Thread] = []

    def outage(*_: int) -> tuple[str]:
        for thread in comes_back:
            thread.join()
        down()
        comes_back.append(threading.Timer(OUTAGE_SECONDS, up))
        comes_back[-1].start()
        return GO_ON

    try:
        answer, left = stage.sweeps.run(name, stage.servers[0].url, at=AT, doing=outage)
    finally:
        for thread in comes_back:
            thread.join()
    check(answer.code == 0, "it finishes, submitted once", answer.last_words)
    found = shown(stage.servers[1].url, JOB, [name])
    check(timeless(found[name]) == stage.undisturbed["runs"], "the same runs and metrics", sizes(found))
    check(left == stage.undisturbed["left"], "the same models and scores")
    noticed = answer.said.count("MLflow does not answer")
    check(noticed > 0, "the job noticed", answer.last_words)
    return {"outages": len(comes_back), "tries_again": noticed} | sizes(found)


def a_backup_is_taken_while_jobs_write(stage: Stage) -> dict[str, Any]:
    """At the second step of the students; the sweep does not notice, and what was there before can be restored."""
    stored: list[Any] = []

    def backup(*_: int) -> tuple[str]:
        stored.append(json.loads(stage.place.job("mlflow-backup", "backup")))
        return GO_ON

    answer, left = stage.sweeps.run("backup", stage.servers[0].url, at=AT[:1], doing=backup)
    check(answer.code == 0 and left == stage.undisturbed["left"], "the same models and scores", answer.last_words)
    before = shown(stage.servers[1].url, READER, ["undisturbed"])
    with restored(stage) as server:
        after = shown(server.url, READER)
    check(after["undisturbed"] == before["undisturbed"], "the restored server shows the same runs", sizes(after))
    kinds = {run["tags"]["dq.kind"]: run["status"] for run in after["backup"].values()}
    check("RUNNING" in kinds.values(), "the sweep was under way", kinds)
    return {"stored": stored[0], "restored": sizes(after)}


def a_restore_gives_everything_back(stage: Stage) -> dict[str, Any]:
    """Over the former restore: all runs, metrics, users and artifacts; refused while a server is connected."""
    stage.place.job("mlflow-backup", "backup")
    with restored(stage) as server:
        refused = server.place.run("CronJob", "mlflow-restore", "restore", "restore")
        check(refused.returncode == 2 and "scale" in refused.stderr, "refused while a server runs", refused.stderr)
        before, after = shown(stage.servers[1].url, READER), shown(server.url, READER)
        versions = registered(server.url, READER)
    check(before == after, "the same runs, metrics and artifacts", sizes(after))
    check(versions == registered(stage.servers[1].url, READER) != [], "the same registered models", versions)
    check(schema(stage.second) == schema(stage.place.postgresql), "the same schema", schema(stage.second))
    return sizes(after) | {"registered_versions": len(versions)}


def nothing_is_written_elsewhere(stage: Stage) -> dict[str, Any]:
    """Where this is root: what MLflow wrote lies in the folder that stands for /tmp, the one that it may write to."""
    if os.geteuid() != 0:
        return {"skipped": "not root: MLflow ran as this user"}
    places = ["/tmp", "/var/tmp", "/run"]  # all that such a user could write to, but for /dev/shm, which a pod has
    found = subprocess.run(["find", *places, "-user", str(UID)], capture_output=True, text=True).stdout.split()
    left = [path for path in found if not Path(path).is_relative_to(stage.folder)]
    check(left == [], "nothing of the pods' user lies elsewhere", left[:5])
    return {"places": places}
