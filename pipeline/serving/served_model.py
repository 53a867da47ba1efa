"""What MLflow loads when a student is served: a column of texts in, a list of texts or labels out.

MLflow imports this module by its name from the logged model's own copy of the code; nothing is unpickled.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline.config.errors import UserError
from pipeline.console.log import log_to_stderr

TEXT, TEXT_PAIR = "text", "text_pair"
EXPORTED = "onnx"  # folder of the graphs beside the package
SERVER_MODEL = "__pyfunc_model_path__"  # the environment variable by which MLflow tells its servers what to load
# MLflow leaves out what a signature does not know and tells the server's log alone.
LEFT_OUT = (
    re.compile(r"Unrecognized params \[(?P<names>.*?)\].*Supported params are: {(?P<allowed>.*?)}"),
    re.compile(r"Ignoring provided params: \[(?P<names>.*?)\]"),
    re.compile(r"Found extra inputs .*`\[(?P<names>.*?)\]`"),
)


log = logging.getLogger(__name__)


class Answers(Protocol):
    """What answers: the package in torch, or its graphs in ONNX Runtime."""

    def answers(self, texts: Sequence[str], second: Sequence[str] | None = None, **overrides: Any) -> list[str]:
        """See `pipeline.export.answer.Answerer.answers`."""


class ServedStudent:
    """A student behind MLflow's `predict`.

    Args:
        answerer: the loaded student.
    """

    def __init__(self, answerer: Answers) -> None:
        self.answerer = answerer

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[str]:
        """An answer to every row.

        Args:
            model_input: a data frame with the column `text`, for a classifier of pairs also `text_pair`.
            params: what differs from the package's decoding.

        Raises:
            MlflowException: a mistake of whoever asks; the scoring server answers 400 with its message.
        """
        from mlflow.exceptions import MlflowException

        pairs = model_input[TEXT_PAIR].tolist() if TEXT_PAIR in model_input else None
        try:
            return self.answerer.answers(model_input[TEXT].tolist(), pairs, **(params or {}))
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


class RefuseLeftOut(logging.Filter):
    """Lets a scoring server refuse a request of which it would leave something out: a mistyped name is a mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Nothing is filtered.

        Raises:
            MlflowException: in a scoring server, on MLflow's warning that it leaves something out.
        """
        from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
        from mlflow.exceptions import MlflowException

        text = record.getMessage()
        found = next((found for pattern in LEFT_OUT if (found := pattern.search(text))), None)
        if found is not None and _MLFLOW_IS_IN_SERVING_ENVIRONMENT.get():
            allowed = found.groupdict().get("allowed", "what its signature names")
            error = UserError(f"unknown to this model: {found['names']}", allowed, "leave it out, or rename it")
            raise MlflowException.invalid_parameter_value(str(error))
        return True


REFUSE_LEFT_OUT = RefuseLeftOut()  # one: adding it again changes nothing


def _load_pyfunc(data_path: str) -> ServedStudent:
    """MLflow's entry: the package at a path, or its graphs beside it.

    Where onnxruntime is installed and there are graphs, nothing else is needed; else the package runs in torch, on the
    GPU where there is one.
    """
    if SERVER_MODEL in os.environ:  # else the process is somebody else's
        log_to_stderr()
    logging.getLogger("mlflow.models.utils").addFilter(REFUSE_LEFT_OUT)
    exported = Path(data_path).parent / EXPORTED
    if exported.is_dir() and find_spec("onnxruntime") is not None:
        from pipeline.runtime.answer import OnnxAnswerer

        log.info("answers from %s", exported)
        return ServedStudent(OnnxAnswerer(exported))
    import torch

    from pipeline.export.answer import Answerer

    log.info("answers from %s in torch", data_path)
    return ServedStudent(Answerer(Path(data_path), device=torch.device("cuda" if torch.cuda.is_available() else "cpu")))
