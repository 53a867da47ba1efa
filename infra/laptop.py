"""A Ray head on this machine's loopback, with token authentication: start it, stop it, submit a job to it.

    python infra/laptop.py start | stop
    python infra/laptop.py submit -- python jobs/dq_sweep.py experiment=quickstart

`submit` uses the head that runs here already, or starts one and stops it again. It exits with the job's exit code.
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

ROOT = Path(__file__).resolve().parents[1]
STATE = Path(os.environ.get("DQ_STORAGE", ROOT / "runs")).absolute() / "ray-head"
DASHBOARD_PORT = int(os.environ.get("DQ_RAY_DASHBOARD_PORT", "8265"))
GCS_PORT = int(os.environ.get("DQ_RAY_PORT", "6379"))
ADDRESS = f"http://127.0.0.1:{DASHBOARD_PORT}"
START_SECONDS, STOP_SECONDS, JOB_STOP_SECONDS = 90.0, 30.0, 30.0
PASSED_ON = ("MLFLOW_TRACKING_URI", "HF_HOME", "HF_HUB_OFFLINE", "DQ_STORAGE", "DQ_LOG_LEVEL")


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
    request = urllib.request.Request(f"{ADDRESS}/api/version", headers={"Authorization": f"Bearer {token()}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our loopback
    try:
        with direct.open(request, timeout=2) as answer:
            return "ray_version" in json.loads(answer.read())
    except urllib.error.HTTPError as error:
        fail(
            f"{ADDRESS} answers with {error.code}. Allowed: a Ray head that takes the token in "
            f"{environment()['RAY_AUTH_TOKEN_PATH']}. Change: set RAY_AUTH_TOKEN_PATH to its token, or "
            "DQ_RAY_DASHBOARD_PORT and DQ_RAY_PORT to free ports."
        )
    except (OSError, ValueError):
        return False


def start() -> None:
    """Start a head in a session of its own and wait until it takes jobs."""
    token()
    STATE.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", f"--port={GCS_PORT}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={DASHBOARD_PORT}", "--include-dashboard=true"]
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
            fail(f"the Ray head did not start; its log is {log}:\n{log.read_text()[-1500:]}")
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


def submit(entrypoint: list[str]) -> int:
    """Submit a job, follow its log, return its exit code; an interrupt stops the job."""
    os.environ.update(environment())
    from ray.job_submission import JobSubmissionClient  # reads the environment above

    submission = f"dq-{secrets.token_hex(4)}"
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "job", "submit", "--address", ADDRESS, "--submission-id", submission, "--log-style=record"]
    command += ["--runtime-env-json", json.dumps({"env_vars": job_environment()})]
    follower = subprocess.Popen([*command, "--working-dir", ".", "--", *entrypoint], cwd=ROOT, start_new_session=True)
    try:
        follower.wait()
    except KeyboardInterrupt:
        client = JobSubmissionClient(ADDRESS)
        client.stop_job(submission)
        deadline = time.monotonic() + JOB_STOP_SECONDS
        while time.monotonic() < deadline and not client.get_job_status(submission).is_terminal():
            time.sleep(0.5)
        follower.terminate()
        return 130
    client = JobSubmissionClient(ADDRESS)
    if submission not in {job.submission_id for job in client.list_jobs()}:
        fail("the submission failed; the lines above say why. Allowed: a reachable head. Change: see infra/README.md.")
    while not (info := client.get_job_info(submission)).status.is_terminal():  # the log broke off, the job goes on
        time.sleep(2)
    return 1 if info.driver_exit_code is None else int(info.driver_exit_code)


def job_environment() -> dict[str, str]:
    """What the job must know of this shell, also when the head was started elsewhere; no secrets, Ray shows them."""
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
        print(f"Ray head: {ADDRESS}; clients need RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={path}")
        return 0
    if arguments[:1] == ["stop"]:
        stop()
        return 0
    if arguments[:2] != ["submit", "--"] or len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    started = not is_running()
    try:
        if started:
            start()
        return submit(arguments[2:])
    finally:
        if started:
            stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
