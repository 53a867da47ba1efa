"""What is waited for and what is told at once; no message holds a login."""

import errno
import logging
from types import SimpleNamespace

import pytest
import requests
from mlflow.exceptions import MlflowException

from pipeline.config import login
from pipeline.config.errors import UserError
from pipeline.config.login import LOGIN_VARIABLES
from pipeline.tracking import retry
from pipeline.tracking.retry import with_retries
from pipeline.tracking.tracker import Tracker


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made; they take no time but on a clock of their own."""
    made = []
    monkeypatch.setattr(retry, "time", SimpleNamespace(sleep=made.append, monotonic=lambda: sum(made)))
    return made


def failing(*errors):
    """A call that raises these, then answers."""
    left = list(errors)

    def call():
        if left:
            raise left.pop(0)
        return "answer"

    return call


def test_a_server_that_is_away_is_waited_for(pauses):
    """Also one that says that its own disk is full."""
    away = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    assert with_retries(failing(away, TimeoutError(), MlflowException("database or disk is full", 1))) == "answer"
    assert len(pauses) == 3


def test_a_full_disk_is_no_server_that_is_away(pauses, caplog):
    """It is named at once, for artifacts and buffers of a local store."""
    with pytest.raises(UserError, match=r"the disk is full \(/storage/x\)"):
        with_retries(failing(OSError(errno.ENOSPC, "No space left on device", "/storage/x")))
    assert pauses == [] and "does not answer" not in caplog.text


@pytest.mark.parametrize(("status", "num_pauses"), [(401, 0), (403, 0), (404, 0), (429, 1), (503, 1)])
def test_what_a_proxy_of_artifacts_refuses_comes_at_once(pauses, status, num_pauses):
    """A login that is not taken is not taken later; who asks too often may ask again."""
    refused = requests.HTTPError(f"{status}", response=SimpleNamespace(status_code=status))
    call = failing(refused)
    if num_pauses:
        assert with_retries(call) == "answer"
    else:
        with pytest.raises(requests.HTTPError):
            with_retries(call)
    assert len(pauses) == num_pauses


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EISDIR])
def test_other_errors_of_files_come_at_once(pauses, number):
    """Waiting changes nothing about a right or a folder."""
    with pytest.raises(OSError, match="x"):
        with_retries(failing(OSError(number, "x")))
    assert pauses == []


def test_a_server_that_does_not_answer_is_named_without_its_login(pauses, tmp_path, monkeypatch, capsys):
    """In every try's line and in the error at the end; ours and MLflow's."""
    monkeypatch.setattr(login, "_known", {})
    for name in LOGIN_VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with pytest.raises(MlflowException) as error:
        Tracker("http://u:kan4ri%40%2F@127.0.0.1:1", "test", tmp_path, retry_seconds=2.0)
    logging.getLogger("mlflow").warning("http://u:kan4ri@127.0.0.1:1")
    out, err = capsys.readouterr()
    assert "127.0.0.1" in str(error.value) and "MLflow does not answer" in err and len(pauses) == 1
    assert "kan4ri" not in out + err + str(error.value)
