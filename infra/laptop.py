"""A Ray head on this machine's loopback, with token authentication: start it, stop it, submit a job to it.

    python infra/laptop.py start | stop
    python infra/laptop.py submit -- python jobs/dq_sweep.py experiment=quickstart

`submit` uses the head that runs here already, or starts one and stops it again. It exits with the job's exit code.
Logins (of MLFLOW_TRACKING_URI, tracking.uri=, MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN) go to the job in a file that
only you can read and that is gone when the job is: Ray shows and keeps command lines and environments of its jobs.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from pipeline.config.address import split
from pipeline.config.errors import UserError
from pipeline.config.login import ADDRESS_VARIABLE, LOGIN_VARIABLES
from pipeline.config.login_file import FILE_VARIABLE, login_lines, write_login_file
from pipeline.config.masking import is_secret_variable, masked

ROOT = Path(__file__).resolve().parents[1]
STATE = Path(os.environ.get("DQ_STORAGE", ROOT / "runs")).absolute() / "ray-head"
DASHBOARD_VARIABLE, GCS_VARIABLE = "DQ_RAY_DASHBOARD_PORT", "DQ_RAY_PORT"
RAYS_OWN = {*range(10001, 20000), 52365}  # of its clients, its workers, its agent
ADDRESS_WORDS = ("tracking.uri", ADDRESS_VARIABLE)  # KEY=address in a job's command
ADVICE = f"set {LOGIN_VARIABLES[0]} and {LOGIN_VARIABLES[1]}, or {ADDRESS_VARIABLE}"
START_SECONDS, STOP_SECONDS, JOB_STOP_SECONDS = 90.0, 30.0, 30.0
PASSED_ON = (ADDRESS_VARIABLE, FILE_VARIABLE, "HF_HOME", "HF_HUB_OFFLINE", "DQ_STORAGE", "DQ_LOG_LEVEL")


def ports() -> tuple[int, int]:
    """The ports of the head's dashboard, which takes jobs, and of its store.

    Raises:
        UserError: one that is none, that Ray needs itself, or one for both.
    """
    found = []
    for name, default in ((DASHBOARD_VARIABLE, "8265"), (GCS_VARIABLE, "6379")):
        given = os.environ.get(name) or default
        number = int(given) if given.isascii() and given.isdigit() and len(given) <= 5 else 0
        if not 1024 <= number <= 65535 or number in RAYS_OWN or number in found:
            raise UserError(
                f"{name}={given}",
                "1024 to 65535 but for 10001 to 19999 and 52365, which Ray uses itself; one port for each",
                f"set or unset {name}",
            )
        found.append(number)
    return found[0], found[1]


def address() -> str:
    """Where the head takes jobs."""
    return f"http://127.0.0.1:{ports()[0]}"


def environment() -> dict[str, str]:
    """The environment of the head and of everything that talks to it."""
    binaries = str(Path(sys.executable).parent)
    return os.environ | {
        "PATH": f"{binaries}:{os.environ['PATH']}",  # a submitted `python` is the first on the head's PATH
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": os.environ.get("RAY_AUTH_TOKEN_PATH", str(STATE / "token")),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray replaces 127.0.0.1 by the machine's address
        "RAY_JOB_STOP_WAIT_TIME_S": f"{JOB_STOP_SECONDS:.0f}",  # a stopped job writes the status of its runs
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_DEDUP_LOGS": "0",
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1"])),
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads of neighbouring workers slow each other down
    }


def token() -> str:
    """The token of the head, made if there is none."""
    path = Path(environment()["RAY_AUTH_TOKEN_PATH"])
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text().strip()


def is_running() -> bool:
    """Whether a Ray head answers here.

    Raises:
        SystemExit: one does, but not to our token, or something else holds the port.
    """
    request = urllib.request.Request(f"{address()}/api/version", headers={"Authorization": f"Bearer {token()}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our loopback
    try:
        with direct.open(request, timeout=2) as answer:
            return "ray_version" in json.loads(answer.read())
    except urllib.error.HTTPError as error:
        fail(
            f"{address()} answers with {error.code}. Allowed: a Ray head that takes the token in "
            f"{environment()['RAY_AUTH_TOKEN_PATH']}. Change: set RAY_AUTH_TOKEN_PATH to its token, or "
            f"{DASHBOARD_VARIABLE} and {GCS_VARIABLE} to free ports."
        )
    except (OSError, ValueError):
        return False


def start() -> None:
    """Start a head in a session of its own and wait until it takes jobs."""
    token()
    STATE.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    dashboard, store = ports()
    command += ["--node-ip-address=127.0.0.1", f"--port={store}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--include-dashboard=true"]
    command += ["--disable-usage-stats", "--object-store-memory=200000000"]
    log = STATE / "head.log"
    with log.open("w") as output:
        head = subprocess.Popen(
            command, env=environment(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd=ROOT
        )
    (STATE / "pid").write_text(str(head.pid))
    deadline = time.monotonic() + START_SECONDS
    while not is_running():
        if head.poll() is not None or time.monotonic() > deadline:
            stop()
            fail(f"the Ray head did not start; its log is {log}:\n{masked(log.read_text())[-1500:]}")
        time.sleep(0.2)


def stop() -> None:
    """Stop the head that `start` started, and nothing else."""
    path = STATE / "pid"
    if not path.is_file():
        return
    leader = int(path.read_text())
    command = Path(f"/proc/{leader}/cmdline")
    if not command.is_file() or b"start" not in command.read_bytes():  # a stale number, somebody else's by now
        path.unlink()
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, sign) if sign == signal.SIGKILL else os.kill(leader, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and session_members(leader):
            time.sleep(0.2)
    path.unlink()


def session_members(leader: int) -> list[int]:
    """Processes of the head's session that still live."""
    members = []
    for process in psutil.process_iter(["pid", "status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members


def submit(entrypoint: list[str], lines: list[tuple[str, str]]) -> int:
    """Submit a job, follow its log, return its exit code; an interrupt stops the job.

    Args:
        entrypoint: its command, as `without_logins` leaves it.
        lines: of its login file, from there, too; they count more than what this shell has.
    """
    submission, passed = f"dq-{secrets.token_hex(4)}", job_environment()
    logins = []
    if passed.get(ADDRESS_VARIABLE):
        passed[ADDRESS_VARIABLE], login = split(passed[ADDRESS_VARIABLE])
        logins += [(ADDRESS_VARIABLE, os.environ[ADDRESS_VARIABLE])] if login else []
    logins += [(name, os.environ[name]) for name in LOGIN_VARIABLES if os.environ.get(name)]
    # A later line counts, as in a job that is started by hand: the file goes before the environment.
    logins += login_lines(Path(os.environ[FILE_VARIABLE])) if os.environ.get(FILE_VARIABLE) else []
    logins += lines
    file = STATE / f"{submission}.login"
    try:
        if logins:
            STATE.mkdir(parents=True, exist_ok=True)
            write_login_file(file, logins)
            passed[FILE_VARIABLE] = str(file)
        return follow(submission, entrypoint, passed)
    finally:
        file.unlink(missing_ok=True)


def without_logins(entrypoint: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """A job's command without logins and secrets, and these as lines of a login file.

    Raises:
        UserError: one stands where it cannot be taken off.
    """
    words, lines = [], []
    for word in entrypoint:
        name, separator, value = word.partition("=")
        if separator and name in LOGIN_VARIABLES:  # env NAME=value python ...
            lines.append((name, value))
            continue
        if separator and name in ADDRESS_WORDS:
            plain, login = split(value)
            lines += [(ADDRESS_VARIABLE, value)] if login else []
            word = f"{name}={plain}"
        if (shown := masked(word)) != word or (separator and is_secret_variable(name)):
            raise UserError(
                f"a login or a secret in the job's command: '{shown if shown != word else name}'",
                f"{' or '.join(ADDRESS_WORDS)}=address, or variables of this shell",
                f"take it out of the command, which Ray shows and keeps; {ADVICE}",
            )
        words.append(word)
    return words, lines


def follow(submission: str, entrypoint: list[str], passed: dict[str, str]) -> int:
    """Submit a command with these variables, follow its log, return its exit code."""
    os.environ.update(environment())
    from ray.job_submission import JobSubmissionClient  # reads the environment above

    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "job", "submit", "--address", address(), "--submission-id", submission, "--log-style=record"]
    command += ["--runtime-env-json", json.dumps({"env_vars": passed})]
    follower = subprocess.Popen([*command, "--working-dir", ".", "--", *entrypoint], cwd=ROOT, start_new_session=True)
    try:
        follower.wait()
    except KeyboardInterrupt:
        client = JobSubmissionClient(address())
        client.stop_job(submission)
        deadline = time.monotonic() + JOB_STOP_SECONDS
        while time.monotonic() < deadline and not client.get_job_status(submission).is_terminal():
            time.sleep(0.5)
        follower.terminate()
        return 130
    client = JobSubmissionClient(address())
    if submission not in {job.submission_id for job in client.list_jobs()}:
        fail("the submission failed; the lines above say why. Allowed: a reachable head. Change: see infra/README.md.")
    while not (info := client.get_job_info(submission)).status.is_terminal():  # the log broke off, the job goes on
        time.sleep(2)
    return 1 if info.driver_exit_code is None else int(info.driver_exit_code)


def job_environment() -> dict[str, str]:
    """What the job must know of this shell, also when the head was started elsewhere; no secrets, Ray shows them.

    But for the address's login, which `submit` takes off.
    """
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or not a clone
        return passed
    return passed | {"DQ_GIT_COMMIT": commit.stdout.strip()}


def fail(message: str) -> None:
    """One paragraph on stderr, exit code 2."""
    print(f"laptop.py: {message}", file=sys.stderr)
    raise SystemExit(2)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    if arguments[:1] == ["start"]:
        if not is_running():
            start()
        path = environment()["RAY_AUTH_TOKEN_PATH"]
        print(f"Ray head: {address()}; clients need RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={path}")
        return 0
    if arguments[:1] == ["stop"]:
        stop()
        return 0
    if arguments[:2] != ["submit", "--"] or len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    entrypoint, lines = without_logins(arguments[2:])  # before a head is started for nothing
    if lines:
        print(f"laptop.py: a login on a command line can be read by all on this machine; {ADVICE}", file=sys.stderr)
    started = not is_running()
    try:
        if started:
            start()
        return submit(entrypoint, lines)
    finally:
        if started:
            stop()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        fail(masked(str(error)))
