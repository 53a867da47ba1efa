"""A version that cannot be served, or answers otherwise, is told from one that does; nothing is left running."""

import contextlib
import sys
from pathlib import Path

import psutil
import pytest
from mlflow.utils.virtualenv import _is_pyenv_available

from pipeline.config.errors import UserError
from pipeline.serving import probe as probe_module
from pipeline.serving.probe import Golden, check_environment, probe

# A server in place of MLflow's: what it does is its last argument but the port.
SERVER = """
import http.server, json, sys, time
what, port = sys.argv[1], int(sys.argv[-1])
if what == "ends":
    sys.exit("no such model")
if what == "sleeps":
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, body):
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.reply(b"")
    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_records"]
        said = [row["text"].upper() for row in rows]
        said = {"nonsense": "no json", "fewer": said[:1], "others": ["?"] * len(said)}.get(what, said)
        self.reply(said.encode() if what == "nonsense" else json.dumps({"predictions": said}).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
GOLDEN = Golden(rows=[{"text": "a"}, {"text": "ü"}], answers=["A", "Ü"])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("answers", None),
        ("ends", "the server ended with code 1: no such model"),
        ("sleeps", "the server did not start in 3 s: nothing"),
        ("nonsense", "the server did not answer: JSONDecodeError"),
        ("fewer", "1 of 2 answers differ"),
        ("others", "2 of 2 answers differ"),
    ],
)
def test_a_version_is_asked_as_whoever_deploys_it_would(monkeypatch, tmp_path, what, said):
    """All its processes end with the probe."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} {script} {what} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(probe_module.sys, "executable", str(tmp_path / "python"))
    found = probe("name", "3", GOLDEN, "sqlite:////tmp/none.db", 3.0 if what == "sleeps" else 60.0)
    assert found is None if said is None else found.startswith(said)
    left = [one for one in psutil.process_iter(["cmdline"]) if str(script) in (one.info["cmdline"] or [])]
    assert left == []


def test_the_server_knows_nothing_of_this_process_but_the_store(monkeypatch, tmp_path):
    """Neither its folder nor its variables; the login of the store by MLflow's own variables."""
    seen = {}

    class NotStartedError(Exception):
        """Nothing is started."""

    def start(command, **options):
        seen.update(options, command=command)
        raise NotStartedError

    monkeypatch.setenv("DQ_CANARY", "sung")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(probe_module.subprocess, "Popen", start)
    with contextlib.suppress(NotStartedError):
        probe("name", "3", GOLDEN, "https://u:pass-w0rd@127.0.0.1:1", 1.0)
    environment = seen["env"]
    assert not {"DQ_CANARY", "PYTHONPATH"} & set(environment) and "models:/name/3" in seen["command"]
    assert (
        environment["MLFLOW_TRACKING_URI"] == "https://127.0.0.1:1" and environment["MLFLOW_TRACKING_USERNAME"] == "u"
    )
    assert Path(seen["cwd"]) != Path.cwd() and "pass-w0rd" not in " ".join(seen["command"])


@pytest.mark.parametrize(("environment", "manager"), [("process", "local"), ("virtualenv", "virtualenv")])
def test_a_virtual_environment_is_made_by_mlflow_and_told_of_the_mirror(monkeypatch, environment, manager):
    """What installs packages is told as this process is; who installs nothing is not."""
    seen = {}

    def start(command, **options):
        seen.update(options, command=command)
        raise KeyboardInterrupt

    for name in ("PIP_INDEX_URL", "PYENV_ROOT", "PIPE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(probe_module.subprocess, "Popen", start)
    with contextlib.suppress(KeyboardInterrupt):
        probe("name", "3", GOLDEN, "sqlite:////tmp/none.db", 1.0, environment)
    assert seen["command"][seen["command"].index("--env-manager") + 1] == manager
    handed = {name for name in ("PIP_INDEX_URL", "PYENV_ROOT", "PIPE") if name in seen["env"]}
    assert handed == (set() if environment == "process" else {"PIP_INDEX_URL", "PYENV_ROOT"})


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """`tools(names)`: these programs are on the path, and no others."""

    def put(*names):
        for name in names:
            (tmp_path / name).write_text("")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(probe_module.sys, "executable", str(tmp_path / "python"))

    return put


@pytest.mark.parametrize(("there", "missing"), [((), "pyenv and bash"), (("bash",), "pyenv"), (("pyenv",), "bash")])
def test_an_environment_that_mlflow_cannot_make_is_refused(tools, there, missing):
    """By the names of the programs that are missing, and MLflow says the same of pyenv; the process needs neither."""
    tools(*there)
    check_environment("process")
    assert _is_pyenv_available() == ("pyenv" in there)
    with pytest.raises(UserError, match=f"without {missing} on the path"):
        check_environment("virtualenv")


def test_an_environment_that_mlflow_can_make_is_not(tools):
    """With both programs."""
    tools("bash", "pyenv")
    check_environment("virtualenv")
    assert _is_pyenv_available()
