"""Where runs are kept, and whether that is there at all: known before anything is asked of MLflow."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from pipeline.config.address import is_server
from pipeline.config.errors import UserError
from pipeline.config.login import shown, take_login
from pipeline.config.masking import masked


def local_tracking_uri(storage: Path) -> str:
    """The tracking store inside the storage folder."""
    return f"sqlite:///{storage / 'mlflow.db'}"


def check_reachable(uri: str) -> None:
    """Fail in seconds where no MLflow answers, instead of after minutes of retries.

    Raises:
        UserError: nothing answers at an http(s) address.
    """
    if not is_server(uri):
        return
    plain, uri = take_login(uri), shown(uri)  # urllib takes no login in an address
    try:
        urllib.request.urlopen(f"{plain.rstrip('/')}/health", timeout=5).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):  # a login is in front of it
            raise UserError(
                f"{uri} answers with {error.code}", "an MLflow server", "set tracking.uri or MLFLOW_TRACKING_URI"
            ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"no MLflow server at {uri} ({masked(str(getattr(error, 'reason', error)))})",
            "the address of a running server, or empty for the store in the storage folder",
            "set tracking.uri or MLFLOW_TRACKING_URI",
        ) from None


def check_store_exists(uri: str) -> None:
    """Before reading: a server that answers, or a local database that is there, so that none is made by looking.

    Raises:
        UserError: neither.
    """
    check_reachable(uri)
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not path.is_file():
        raise UserError(f"no runs at {path}", "the storage folder of finished runs", "set storage.path or tracking.uri")
