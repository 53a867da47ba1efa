"""A tracking server behind a login: a whole job gets in, and nothing that it prints or leaves holds the password."""

import base64
import json
import os
import threading
from urllib.parse import quote

import mlflow
import pytest
from small_task import called
from werkzeug.serving import make_server

from pipeline.config import login as login_module
from pipeline.config.login import ADDRESS_VARIABLE, LOGIN_VARIABLES
from pipeline.stages.sweep.job import run

USER, WORD = "someone", "Kan4rienvogel"
PASSWORD = f"{WORD}@/:%2F ö?#"
NEEDLES = [WORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode())]


class Guard:
    """MLflow's server with a login in front of it, which counts who came in."""

    def __init__(self, app):
        self.app, self.let_in, self.refused = app, 0, 0

    def __call__(self, environment, start_response):
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if environment.get("HTTP_AUTHORIZATION") == f"Basic {expected}":
            self.let_in += 1
            return self.app(environment, start_response)
        self.refused += 1
        start_response("401 Unauthorized", [("WWW-Authenticate", "Basic")])
        return [b"who are you?"]


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """(the guard, the address without a login) of a server whose database and artifacts lie in tmp_path/server."""
    (tmp_path / "server").mkdir()
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{tmp_path / 'server' / 'mlflow.db'}")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(tmp_path / "server" / "artifacts"))
    monkeypatch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
    from mlflow.server import app, handlers

    for name in ("_tracking_store", "_model_registry_store", "_artifact_repo"):
        monkeypatch.setattr(handlers, name, None)
    guard = Guard(app)
    server = make_server("127.0.0.1", 0, guard, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield guard, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    mlflow.set_tracking_uri(None)  # its first request has set its own for this whole process


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """What a job learns of logins is gone after the test."""
    monkeypatch.setattr(login_module, "_known", {})
    for name in (*LOGIN_VARIABLES, ADDRESS_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def holding(folder, needle):
    """Files below a folder whose name or content holds a text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if needle in str(path).encode() or needle in path.read_bytes()]


def test_a_job_gets_in_and_leaves_no_trace_of_the_password(guarded, small, tmp_path, monkeypatch):
    """Neither in its lines and document nor in any file: storage, MLflow's database and artifacts."""
    guard, address = guarded
    with_login = address.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")
    monkeypatch.setenv(ADDRESS_VARIABLE, with_login)
    monkeypatch.setenv("DQ_LOG_LEVEL", "DEBUG")
    students = "sweep.students=[{scheme: 8-8-8, depth: 3-1}]"
    code, out, err = called("dq_sweep", run, *small, students, f"storage.path={tmp_path / 'storage'}")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["status"] == "finished"
    assert guard.let_in > 20 and "View run" in out and address in out
    for needle in NEEDLES:
        assert needle not in (out + err).encode()
        assert holding(tmp_path, needle) == []
    assert holding(tmp_path, b"config.yaml") and holding(tmp_path, address.encode())  # the search finds what is there
    assert WORD not in os.environ[ADDRESS_VARIABLE]


def test_a_login_that_is_not_taken_is_told_with_its_variables(guarded, small, tmp_path, monkeypatch):
    """At the start, before anything is trained; and the word is in no message."""
    guard, address = guarded
    monkeypatch.setenv(LOGIN_VARIABLES[0], USER)
    monkeypatch.setenv(LOGIN_VARIABLES[1], "anotherWord")
    code, _, err = called("dq_sweep", run, *small, f"storage.path={tmp_path / 'runs'}", f"tracking.uri={address}")
    told = " ".join(err.split())
    assert (code, guard.let_in) == (2, 0) and "a login that this server takes" in told
    assert "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in told and "anotherWord" not in told
