"""The runs of an experiment in MLflow: found by key, continued after a crash."""

from __future__ import annotations

import functools
import logging
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.address import is_server
from pipeline.config.build import nearest
from pipeline.config.errors import UserError
from pipeline.config.login import login_environment, take_login, with_login
from pipeline.config.submission import submission
from pipeline.console.log import mask_messages
from pipeline.tracking.buffer import DROPPED_TAG, RunBuffer
from pipeline.tracking.filters import condition_on
from pipeline.tracking.lifecycle import deleted_experiment, deleted_run, is_deleted, told_if_deleted
from pipeline.tracking.retry import RETRY_SECONDS, reason_of, with_retries
from pipeline.tracking.run import STOPPED, MlflowRun

# Lets the UI open on training runs instead of on traces of chat applications.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}

SUBMISSION_TAG = "dq.submission"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What identifies a run and what is written on it at the start."""

    name: str
    key: str
    kind: str
    parent_run_id: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    config: str = ""  # the resolved configuration, kept as an artifact
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run that exists already."""

    run_id: str
    name: str
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]

    @property
    def finished(self) -> bool:
        """Whether it ended well."""
        return self.status == "FINISHED"

    @property
    def stopped(self) -> str | None:
        """Why it was given up early; none if it was not."""
        return self.tags.get(STOPPED) if self.status == "KILLED" else None

    @property
    def state(self) -> str:
        """How it ended, for people."""
        return "stopped early" if self.stopped else self.status.lower()


class Tracker:
    """One experiment of one MLflow server or store.

    Args:
        uri: tracking URI; its login may be in it, or was taken out of it in this process.
        experiment: experiment name, created if need be.
        folder: below it lie artifacts when the store is a local database, and values that a server has not taken yet.
        retry_seconds: how long a server that is away is waited for.

    Raises:
        UserError: the experiment is deleted.
    """

    def __init__(self, uri: str, experiment: str, folder: Path, retry_seconds: float = RETRY_SECONDS) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # our buffer retries
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # logs are read by people
        from mlflow import MlflowClient  # importing mlflow takes seconds

        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)  # what it writes, with pages of SQL, it raises
        for handler in logging.getLogger("mlflow").handlers:
            mask_messages(handler)
        os.environ.update(login_environment(uri))
        self.client = MlflowClient(tracking_uri=take_login(uri) if is_server(uri) else with_login(uri))
        self.buffers = folder / "tracking"
        location = None if is_server(uri) else str(folder / "mlartifacts")
        self.experiment_id = with_retries(lambda: self._experiment(experiment, location), retry_seconds)

    def _experiment(self, name: str, artifact_location: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self.client.create_experiment(name, artifact_location, tags=EXPERIMENT_TAGS))
            except MlflowException:
                found = self.client.get_experiment_by_name(name)  # another process was faster
                if found is None:
                    raise
        if is_deleted(found):
            raise deleted_experiment(self.client, found)
        return str(found.experiment_id)

    def find(self, kind: str, key: str) -> FoundRun | None:
        """The newest run of a kind and key."""
        runs = self._search(f"tags.`dq.key` = '{key}' and tags.`dq.kind` = '{kind}'")
        return runs[0] if runs else None

    def one_run(self, name: str) -> FoundRun:
        """The run of an id, or of a name that only one run has.

        Raises:
            UserError: no such run, or several; or one that is deleted.
        """
        found = self.by_id(name)
        if found is not None:
            return found
        runs = self._named(name)
        if not runs and (deleted := self._named(name, deleted=True)):
            raise deleted_run(self.client, self.client.get_run(deleted[0].run_id))
        if len(runs) != 1:
            several = ", ".join(run.run_id for run in runs[:5])
            like = "" if runs else nearest(name, sorted({run.name for run in self._search("")}))
            raise UserError(
                f"{f'{len(runs)} runs' if runs else 'no run'} of the id or name '{name}'",
                f"one of their ids: {several}" if runs else "the id or name of a run of this experiment",
                f"{f'did you mean {like!r}? Else ' if like else ''}copy the run id from the MLflow UI, or set "
                "tracking.experiment or storage.path",
            )
        return runs[0]

    def by_id(self, run_id: str) -> FoundRun | None:
        """The run of an id, in whatever experiment; none if there is none.

        Raises:
            UserError: it is deleted.
        """
        run = self._run_of(run_id)
        if run is not None and is_deleted(run.info):
            raise deleted_run(self.client, run)
        return None if run is None else found_run(run)

    def is_there(self, run_id: str) -> bool:
        """Whether there is a run of an id that is not deleted."""
        run = self._run_of(run_id)
        return run is not None and not is_deleted(run.info)

    def _run_of(self, run_id: str) -> Any | None:
        """The run of an id, a deleted one, too; none if there is none."""
        from mlflow.exceptions import MlflowException

        if not re.fullmatch("[0-9a-f]{32}", run_id):
            return None
        try:
            return with_retries(lambda: self.client.get_run(run_id))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        return None

    def teacher_of(self, run: FoundRun) -> FoundRun | None:
        """The teacher of a student or of a sweep; none if its run is gone."""
        run_id = run.tags.get("dq.teacher_run", "")
        return self.by_id(run_id) if self.is_there(run_id) else None

    def download(self, run: FoundRun, file: str, folder: Path) -> Path | None:
        """A run's artifact as a file in a folder; none if the run does not have it."""
        if not any(artifact.path == file for artifact in self.client.list_artifacts(run.run_id)):
            return None
        return Path(self.client.download_artifacts(run.run_id, file, str(folder)))

    def children(self, parent_run_id: str) -> list[FoundRun]:
        """The runs below a run, one per key, the newest of it."""
        newest: dict[str, FoundRun] = {}
        for run in self._search(f"tags.`mlflow.parentRunId` = '{parent_run_id}'"):
            newest.setdefault(run.tags["dq.key"], run)
        return list(newest.values())

    def outputs(self, run_id: str) -> Any | None:
        """What a run has made, a deleted one, too; none if there is no such run, or nothing of it."""
        run = self._run_of(run_id)
        return None if run is None else run.outputs

    def logged_models(self, run_id: str) -> list[Any]:
        """The logged models of a run, those that are not ready among them."""
        search = functools.partial(
            self.client.search_logged_models, [self.experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
        return list(with_retries(search))

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """All values of a metric by rising step; of a step that was repeated after a crash, the newest."""
        # The client fetches page by page.
        entries = with_retries(lambda: self.client.get_metric_history(run_id, metric))
        newest = {entry.step: entry.value for entry in sorted(entries, key=lambda entry: entry.timestamp)}
        return sorted(newest.items())

    def fail_if_running(self, kind: str, key: str, reason: str) -> None:
        """Mark a run as failed that still claims to run: its process was killed and could not.

        Called while an error is handled: where MLflow does not answer, that is said, and the error goes on.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self.find(kind, key)
            if run is not None and run.status == "RUNNING":
                self._fail(run, reason)
        except (MlflowException, OSError, UserError) as error:
            log.warning(f"{kind} {key} may still be shown as running: {reason_of(error)}")

    def fail_submission(self, name: str, reason: str) -> None:
        """Mark as failed what still claims to run of a submission whose processes have ended and could not.

        Where MLflow does not answer, that is said.
        """
        from mlflow.exceptions import MlflowException

        try:
            for run in self._search(condition_on(f"tags.`{SUBMISSION_TAG}`", name)):
                if run.status == "RUNNING" and run.tags.get(SUBMISSION_TAG) == name:
                    self._fail(run, reason)
        except (MlflowException, OSError, UserError) as error:
            log.warning(f"runs of this submission may still be shown as running: {reason_of(error)}")

    def _fail(self, run: FoundRun, reason: str) -> None:
        self._deliver_left(run.run_id)
        failed = self._run(run.run_id)
        failed.failed(reason)
        failed.close()

    def finish_left(self, run_id: str) -> None:
        """End a run that came to its end when MLflow did not answer, if its last values wait here."""
        from mlflow.exceptions import MlflowException

        try:
            if self._deliver_left(run_id):
                with_retries(lambda: self.client.set_terminated(run_id, status="FINISHED"))
        except (MlflowException, OSError, UserError) as error:  # what was trained is there all the same
            log.warning(f"run {run_id} may still be shown as running: {reason_of(error)}")

    def adopt(self, run: FoundRun, parent_run_id: str) -> None:
        """Put a run below a parent; the one that it had may have been deleted."""
        if run.tags.get("mlflow.parentRunId") != parent_run_id:
            with_retries(lambda: self.client.set_tag(run.run_id, "mlflow.parentRunId", parent_run_id))

    def _named(self, name: str, deleted: bool = False) -> list[FoundRun]:
        """The runs of a name."""
        condition = condition_on("attributes.run_name", name)
        return [run for run in self._search(condition, deleted) if run.name == name]

    def _search(self, condition: str, deleted: bool = False) -> list[FoundRun]:
        from mlflow.entities import ViewType

        found, token = [], None
        view = {"run_view_type": ViewType.DELETED_ONLY} if deleted else {}
        while True:
            page = with_retries(
                functools.partial(
                    self.client.search_runs,
                    [self.experiment_id],
                    filter_string=condition,
                    **view,
                    order_by=["attributes.start_time DESC"],
                    max_results=500,
                    page_token=token,
                )
            )
            found += [found_run(run) for run in page]
            token = page.token
            if not token:
                return found

    def start(self, spec: RunSpec) -> MlflowRun:
        """A new run, or the unfinished one of the same kind and key: a resubmitted job makes no duplicates.

        Raises:
            UserError: the experiment, or the run that was found, has been deleted meanwhile.
        """
        tags = {**spec.tags, "dq.key": spec.key, "dq.kind": spec.kind, SUBMISSION_TAG: submission()}
        if spec.parent_run_id is not None:
            tags["mlflow.parentRunId"] = spec.parent_run_id
        found = self.find(spec.kind, spec.key)
        if found is None:
            run = self._run(self._created(spec.name, tags))
        else:
            with told_if_deleted(self.client, found.run_id):
                run = self._continued(found)
        run.tags(tags)
        run.params(spec.params, written=frozenset(found.params) if found is not None else frozenset())
        run.text(spec.config, "config.yaml")
        return run

    def _created(self, name: str, tags: dict[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        try:
            created = with_retries(lambda: self.client.create_run(self.experiment_id, run_name=name, tags=tags))
        except MlflowException:
            if is_deleted(experiment := self.client.get_experiment(self.experiment_id)):
                raise deleted_experiment(self.client, experiment) from None
            raise
        return str(created.info.run_id)

    def _continued(self, found: FoundRun) -> MlflowRun:
        """A run that exists, with what earlier processes left of it, but not how it ended there."""
        with_retries(lambda: self.client.update_run(found.run_id, status="RUNNING"))
        # At once, not with the values: it is how runs of a lost submission are found.
        with_retries(lambda: self.client.set_tag(found.run_id, SUBMISSION_TAG, submission()))
        tags = found.tags
        if self._deliver_left(found.run_id):
            tags = with_retries(lambda: self.client.get_run(found.run_id)).data.tags
        for old in {"dq.failure", STOPPED} & set(tags):
            with_retries(functools.partial(self.client.delete_tag, found.run_id, old))
        run = self._run(found.run_id)
        run.dropped_before(int(tags.get(DROPPED_TAG, 0)))
        return run

    def _run(self, run_id: str) -> MlflowRun:
        """A run that writes to a file of its own: a process that is thought dead may still write to another."""
        return MlflowRun(self.client, run_id, RunBuffer(self.buffers / f"{run_id}.{time.time_ns()}.jsonl"))

    def _deliver_left(self, run_id: str) -> bool:
        """Deliver what earlier processes left of a run, in the order of their starts; whether they left anything."""
        files = sorted(self.buffers.glob(f"{run_id}.*.jsonl"))
        for file in files:
            MlflowRun(self.client, run_id, RunBuffer(file)).replay()
        if files:
            log.info(f"run {run_id}: values delivered that an earlier process left")
        return bool(files)


def found_run(run: Any) -> FoundRun:
    """A run as MLflow's client gives it."""
    return FoundRun(
        run_id=run.info.run_id,
        name=str(run.info.run_name),
        status=run.info.status,
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags=dict(run.data.tags),
    )
