"""`infra/laptop.py`: what Ray is told of a job holds no login, and the job has it all the same."""

import importlib.util
import json
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from repository import ROOT

from pipeline.config.errors import UserError
from pipeline.config.login import ADDRESS_VARIABLE, LOGIN_VARIABLES
from pipeline.config.login_file import FILE_VARIABLE, write_login_file

USER, PASSWORD, TOKEN = LOGIN_VARIABLES
JOB = ["python", "jobs/dq_sweep.py", "experiment=quickstart"]


@pytest.fixture
def laptop(monkeypatch, tmp_path):
    """The script as a module, with a storage of its own, a head that runs, and no login in the environment."""
    monkeypatch.setenv("DQ_STORAGE", str(tmp_path / "runs"))
    for name in (*LOGIN_VARIABLES, ADDRESS_VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("laptop", ROOT / "infra" / "laptop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "is_running", lambda: True)
    monkeypatch.setattr(module, "environment", dict)  # it would stay in this process
    return module


@pytest.fixture
def submitted(laptop, monkeypatch):
    """Submit a job to a Ray that notes what it is told: `submitted(*words)` -> (command, variables, login file)."""
    told = []

    class Follower:
        def __init__(self, command, **options):
            variables = json.loads(command[command.index("--runtime-env-json") + 1])["env_vars"]
            file = Path(variables[FILE_VARIABLE]) if FILE_VARIABLE in variables else None
            mode = file and stat.S_IMODE(file.stat().st_mode)
            told.append((command, variables, file and (file, mode, file.read_text().splitlines())))

        def wait(self):
            """It has ended."""

    class Client:
        def __init__(self, address):
            self.submission = told[-1][0][told[-1][0].index("--submission-id") + 1]

        def list_jobs(self):
            return [SimpleNamespace(submission_id=self.submission)]

        def get_job_info(self, submission):
            return SimpleNamespace(status=SimpleNamespace(is_terminal=lambda: True), driver_exit_code=7)

    fake = SimpleNamespace(Popen=Follower, run=subprocess.run, CalledProcessError=subprocess.CalledProcessError)
    monkeypatch.setattr(laptop, "subprocess", fake)
    monkeypatch.setitem(sys.modules, "ray.job_submission", SimpleNamespace(JobSubmissionClient=Client))

    def call(*words):
        assert laptop.main(["submit", "--", *words]) == 7
        return told[-1]

    return call


# Words in front of the job's, variables of the shell -> words that Ray gets, lines of the file.
ADDRESS = "https://u:kan4ri%40%2F@h"
GIVEN = {
    "an address of this shell": ([], {ADDRESS_VARIABLE: ADDRESS}, [], [f"{ADDRESS_VARIABLE}={ADDRESS}"]),
    "an address of the command": (
        [f"tracking.uri={ADDRESS}"],
        {},
        ["tracking.uri=https://h"],
        [f"{ADDRESS_VARIABLE}={ADDRESS}"],
    ),
    "a variable of the command": (["env", f"{PASSWORD}=kan4ri"], {}, ["env"], [f"{PASSWORD}=kan4ri"]),
    "variables of this shell": (
        [],
        {USER: "u", PASSWORD: "kan4ri @/:%", TOKEN: "kan4ri"},
        [],
        [f"{USER}=u", f"{PASSWORD}=kan4ri @/:%", f"{TOKEN}=kan4ri"],
    ),
    "a database": (
        [],
        {ADDRESS_VARIABLE: "mysql://u:kan4ri@h/db?ssl_key=kan4ri"},
        [],
        [f"{ADDRESS_VARIABLE}=mysql://u:kan4ri@h/db?ssl_key=kan4ri"],
    ),
}


@pytest.mark.parametrize("given", GIVEN)
def test_a_login_goes_to_the_job_in_a_file_of_its_owner(given, submitted, monkeypatch, capsys):
    """Neither on Ray's command line nor in the job's variables; the file is gone with the job."""
    before, variables, expected, expected_lines = GIVEN[given]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    command, told, (file, mode, lines) = submitted(*before, *JOB)
    assert "kan4ri" not in f"{command}{told}" + "".join(capsys.readouterr())
    assert command[command.index("--") + 1 :] == [*expected, *JOB]
    assert (mode, lines, file.exists()) == (0o600, expected_lines, False)
    assert told.get(ADDRESS_VARIABLE) in (None, "https://h", "mysql://h/db")


def test_a_file_of_one_s_own_goes_with_it(submitted, monkeypatch, tmp_path):
    """It counts more than what this shell says besides, as for a job that is started by hand."""
    write_login_file(tmp_path / "own", [(PASSWORD, "old")])
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "own"))
    monkeypatch.setenv(PASSWORD, "new")
    _, told, (file, _, lines) = submitted(*JOB)
    assert told[FILE_VARIABLE] == str(file) and lines == [f"{PASSWORD}=new", f"{PASSWORD}=old"]
    assert (tmp_path / "own").exists()


def test_without_a_login_there_is_no_file(submitted, monkeypatch):
    """The address is passed on as it is."""
    monkeypatch.setenv(ADDRESS_VARIABLE, "https://h:5000")
    _, told, file = submitted(*JOB)
    assert file is None and told[ADDRESS_VARIABLE] == "https://h:5000"


@pytest.mark.parametrize(
    "word",
    ["tracking={uri: https://u:kan4ri@h}", "python x.py tracking.uri=https://u:kan4ri@h", "HF_TOKEN=kan4ri"],
)
def test_a_secret_that_cannot_be_taken_off_is_refused(word, laptop, monkeypatch):
    """Before a head is started; the message does not repeat it."""
    monkeypatch.setattr(laptop, "is_running", lambda: pytest.fail("too late"))
    with pytest.raises(UserError, match="a login or a secret in the job's command") as error:
        laptop.main(["submit", "--", word, *JOB])
    assert "kan4ri" not in str(error.value)


BAD_PORTS = ["10001", "10002", "15000", "19999", "52365", "0", "80", "65536", "-1", "abc", "1e4", "8265", "٤٠٠٠"]


@pytest.mark.parametrize("port", BAD_PORTS)
def test_a_port_that_ray_cannot_have_is_refused(port, laptop, monkeypatch):
    """Instead of a traceback of Ray's: what it uses itself, what is none, and the dashboard's own."""
    monkeypatch.setenv("DQ_RAY_PORT", port)
    with pytest.raises(UserError, match=f"DQ_RAY_PORT={port}. Allowed: 1024 to 65535 but for 10001 to 19999"):
        laptop.ports()


@pytest.mark.parametrize("port", ["", "1024", "10000", "20000", "65535"])
def test_other_ports_are_taken(port, laptop, monkeypatch):
    """Empty is not set; the dashboard's is held to the same."""
    monkeypatch.setenv("DQ_RAY_PORT", port)
    assert laptop.ports() == (8265, int(port or 6379))
    monkeypatch.setenv("DQ_RAY_DASHBOARD_PORT", "10002")
    with pytest.raises(UserError, match="DQ_RAY_DASHBOARD_PORT=10002"):
        laptop.ports()


def test_a_mistake_is_one_paragraph(monkeypatch):
    """On stderr, exit code 2."""
    monkeypatch.setenv("DQ_RAY_PORT", "10002")
    done = subprocess.run(
        [sys.executable, "infra/laptop.py", "start"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("laptop.py: DQ_RAY_PORT=10002. Allowed:") and done.stderr.count("\n") == 1
