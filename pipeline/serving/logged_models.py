"""Students as MLflow's logged models: folders that MLflow can serve, stored once and found again."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.export.package import MANIFEST, default_decoding
from pipeline.runtime.manifest import check_source
from pipeline.serving import served_model
from pipeline.tracking.lifecycle import told_if_deleted
from pipeline.tracking.local_artifacts import flush_artifacts
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import Tracker

CODE = Path(__file__).parents[1]
# The first four run the graphs; the others the package where onnxruntime is not installed.
PACKAGES = ["onnxruntime", "tokenizers", "numpy", "tqdm", "mlflow", "torch", "transformers", "safetensors", "datasets"]
PACKAGES += ["omegaconf", "sentencepiece"]
DIGEST = "dq.sha256"
PACKED, EXPORTED = "packed", served_model.EXPORTED  # folders below `data` of a logged model
TYPES = {bool: "boolean", int: "long", float: "double"}


@dataclass(frozen=True, kw_only=True)
class LoggedStudent:
    """A student's logged model."""

    run_id: str
    model_id: str
    location: str  # where MLflow keeps its files


def model_name(student: str) -> str:
    """What a student's logged model is called, so that its address is runs:/<run id>/<name>; MLflow takes few signs."""
    return re.sub(r"[^0-9A-Za-z+=]+", "-", student).strip("-")


def log_student(
    tracker: Tracker, run_id: str, packed: Path, exported: Path | None, example: dict[str, str]
) -> LoggedStudent:
    """The logged model of a student's run with its packed weights; made unless the run has it already.

    Nothing here goes through MLflow's active run: several students' runs are open in one process.

    Args:
        tracker: the experiment.
        run_id: the student's run; the metrics that it has by now are linked to the model.
        packed: the package.
        exported: the same as graphs, which answer where onnxruntime is installed; none where it cannot be exported.
        example: what a request looks like: column -> text. A model whose example is a pair demands pairs.

    Raises:
        UserError: the graphs are those of another package.
    """
    if exported is not None:
        check_source(exported, packed)
    with told_if_deleted(tracker.client, run_id):
        return with_retries(lambda: _log_once(tracker, run_id, packed, exported, example))


def _log_once(
    tracker: Tracker, run_id: str, packed: Path, exported: Path | None, example: dict[str, str]
) -> LoggedStudent:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    client, digest = tracker.client, hashlib.sha256((packed / MANIFEST).read_bytes()).hexdigest()
    for known in tracker.logged_models(run_id):
        if known.status != LoggedModelStatus.READY:
            client.delete_logged_model(known.model_id)  # left by an attempt that broke off
        elif known.tags.get(DIGEST) == digest:
            return LoggedStudent(run_id=run_id, model_id=known.model_id, location=known.artifact_location)
    run = client.get_run(run_id)
    model = client.create_logged_model(
        tracker.experiment_id,
        model_name(run.info.run_name),
        source_run_id=run_id,
        params=dict(run.data.params),
        tags={DIGEST: digest},
    )
    with _saved(model, packed, exported, example) as folder:
        client.log_model_artifacts(model.model_id, str(folder))
    metrics = [_linked(client.get_metric_history(run_id, name)[-1], model) for name in run.data.metrics]
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=max((m.step for m in metrics), default=0))])
    client.log_batch(run_id, metrics=metrics)
    flush_artifacts(model.artifact_location)  # ready means that they are there, also after a power cut
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return LoggedStudent(run_id=run_id, model_id=model.model_id, location=model.artifact_location)


def _linked(metric: Any, model: Any) -> Any:
    """A metric of a run as the model's; equal in everything else, so that the run does not have it twice."""
    from mlflow.entities import Metric

    return Metric(
        metric.key, metric.value, metric.timestamp, metric.step, model_id=model.model_id, run_id=model.source_run_id
    )


@contextmanager
def _saved(model: Any, packed: Path, exported: Path | None, example: dict[str, str]) -> Iterator[Path]:
    """The folder of a logged model, for as long as it takes to upload it."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    decoding = default_decoding(packed)
    params = {} if decoding is None else asdict(decoding)
    # Beside the package: there was room for it, which is not sure of a node's own disk.
    temporary = packed.with_name(".model")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    folder, code = temporary / "model", temporary / CODE.name
    try:
        for path in CODE.rglob("*.py"):  # no weights and no pages
            (target := code / path.relative_to(CODE)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        save_model(
            folder,
            loader_module=served_model.__name__,
            data_path=str(packed),
            code_paths=[str(code)],
            mlflow_model=Model(
                artifact_path=model.artifact_location,
                model_uuid=model.model_id,
                model_id=model.model_id,
                run_id=model.source_run_id,
            ),
            signature=_signature(example, params),
            input_example=(example, params) if params else example,
            # A build's own suffix (2.13.0+cpu) is not on every index.
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in PACKAGES],
        )
        if exported is not None:
            shutil.copytree(exported, folder / "data" / EXPORTED)
        yield folder
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _signature(example: dict[str, str], params: dict[str, Any]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("string", name) for name in example]),
        outputs=Schema([ColSpec("string")]),
        params=ParamSchema([ParamSpec(n, TYPES[type(v)], v) for n, v in params.items()]) if params else None,
    )
