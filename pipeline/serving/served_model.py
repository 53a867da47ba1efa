"""What MLflow loads when a student is served: a column of texts in, a list of texts or labels out.

MLflow imports this module by its name from the logged model's own copy of the code; nothing is unpickled.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from pipeline.config.errors import UserError
from pipeline.console.log import log_to_stderr
from pipeline.runtime.request import check_size

TEXT, TEXT_PAIR = "text", "text_pair"
EXPORTED = "onnx"  # folder of the graphs beside the package
MAX_REQUEST_BYTES = 16 << 20  # characters may be written as six bytes each
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
            model_input: a data frame with the column `text`, for a classifier of pairs also `text_pair`; at most
                `MAX_TEXTS` rows and `MAX_CHARACTERS` characters.
            params: what differs from the package's decoding.

        Raises:
            MlflowException: a mistake of whoever asks; the scoring server answers 400 with its message.
        """
        from mlflow.exceptions import MlflowException

        texts = model_input[TEXT].tolist()
        pairs = model_input[TEXT_PAIR].tolist() if TEXT_PAIR in model_input else None
        try:
            check_size(texts, pairs)
            return self.answerer.answers(texts, pairs, **(params or {}))
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


def limit_requests() -> None:
    """Let MLflow's scoring server of this process refuse bodies that are too large, or nested too deeply to be read.

    Of both it would tell the log alone, and answer 500 or keep the process busy. The names by which it is asked are
    not looked at: a server that others can reach stands behind a proxy that knows its hosts.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import scoring_server

    answered = scoring_server.invocations
    if getattr(answered, "has_limits", False):
        return

    @functools.wraps(answered)
    def invocations(data: bytes, *arguments: Any, **settings: Any) -> Any:
        if (error := _too_much(data)) is None:
            return answered(data, *arguments, **settings)
        raise MlflowException.invalid_parameter_value(str(error))

    invocations.has_limits = True  # type: ignore[attr-defined]
    scoring_server.invocations = invocations


def _too_much(data: bytes) -> UserError | None:
    """Why a body is not even looked at; none: whoever reads it says what is wrong with it."""
    if len(data) > MAX_REQUEST_BYTES:
        given = f"a request of {len(data):,} bytes"
        return UserError(given, f"at most {MAX_REQUEST_BYTES:,}", "send texts in several requests")
    try:
        json.loads(data)
    except (json.JSONDecodeError, UnicodeError):
        return None
    except RecursionError:
        return UserError("lists in lists in lists", "texts in a column", "send a list of strings")
    except ValueError:  # Python reads no number of so many digits
        return UserError("a number of thousands of digits", "texts in a column", "send a list of strings")
    return None


REFUSE_LEFT_OUT = RefuseLeftOut()  # one: adding it again changes nothing


def _load_pyfunc(data_path: str) -> ServedStudent:
    """MLflow's entry: the package at a path, or its graphs beside it.

    Where onnxruntime is installed and there are graphs, nothing else is needed; else the package runs in torch, on the
    GPU where there is one.
    """
    if SERVER_MODEL in os.environ:  # else the process is somebody else's
        log_to_stderr()
        limit_requests()
    logging.getLogger("mlflow.models.utils").addFilter(REFUSE_LEFT_OUT)
    exported = Path(data_path).parent / EXPORTED
    if exported.is_dir() and find_spec("onnxruntime") is not None:
        from pipeline.runtime.answer import OnnxAnswerer
        from pipeline.runtime.manifest import check_source

        check_source(exported, Path(data_path))  # folders of two models may have been mixed up
        log.info("answers from %s", exported)
        return ServedStudent(OnnxAnswerer(exported))
    import torch

    from pipeline.export.answer import Answerer

    log.info("answers from %s in torch", data_path)
    return ServedStudent(Answerer(Path(data_path), device=torch.device("cuda" if torch.cuda.is_available() else "cpu")))
