"""Run a job on a Ray cluster that is reached over the network, as a scheduler wants it: follow it, end as it does.

    python infra/submit.py --address http://dq-head-svc:8265 --id nightly-28934 --done 10 -- python jobs/retrain.py ...

The job's log is this command's, and so is its exit code (`ray job submit` makes 1 of all of them). The token is where
Ray looks for it: RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.

One `--id` is one piece of work: called again with it while its job runs, as a pod that was moved is, this command
follows that job; after it the job is submitted once more. SIGTERM stops the job, which saves its step.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import aiohttp

STOP_SECONDS = 40.0  # a job needs 30 s to save its step and end its runs
PAUSE_SECONDS = 2.0
AGAIN = os.EX_TEMPFAIL  # 75: submitted again, the job goes on
MISTAKE = 2

Answer = TypeVar("Answer")


class StopRequestError(Exception):
    """Whoever runs this command wants it to end."""


class AwayError(Exception):
    """The cluster did not answer for as long as it may."""


class Cluster:
    """A Ray cluster's job server.

    Args:
        address: its URL.
        wait_seconds: how long it may be away, at the start and in between.
    """

    def __init__(self, address: str, wait_seconds: float) -> None:
        from ray.job_submission import JobSubmissionClient

        self.address, self.wait_seconds = address, wait_seconds
        self.client: Any = self.asked(lambda: JobSubmissionClient(address))

    def asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, however often it has to be asked.

        Raises:
            AwayError: there was none in time.
            SystemExit: the token is not the cluster's.
        """
        from ray.exceptions import AuthenticationError

        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                return question()
            except AuthenticationError as error:
                fail(
                    f"{self.address}: {str(error).splitlines()[0]}",
                    "RAY_AUTH_MODE=token and the token of the cluster in RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN",
                    "compare them with those of the head",
                )
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                if "status code 4" in str(error):
                    fail(f"{self.address}: {error}", "what Ray's job server takes", "see its answer")
                if time.monotonic() > deadline:
                    raise AwayError(f"{self.address} did not answer for {self.wait_seconds:.0f} s: {error}") from error
                time.sleep(PAUSE_SECONDS)

    def job_of(self, work: str, entrypoint: str) -> str:
        """The submission that does a piece of work: the one that runs, else a new one."""
        earlier = {job.submission_id: job for job in self.asked(self.client.list_jobs) if _is_of(job, work)}
        for submission, job in earlier.items():
            if not job.status.is_terminal():
                say(f"{submission} runs already; its log follows")
                return str(submission)
        submission = f"{work}-{len(earlier) + 1}"

        def submit() -> None:  # an answer that was lost may have been yes
            if submission not in {job.submission_id for job in self.client.list_jobs()}:
                self.client.submit_job(entrypoint=entrypoint, submission_id=submission, metadata={"work": work})

        self.asked(submit)
        say(f"submitted as {submission}")
        return submission

    def followed(self, submission: str) -> int:
        """Print a job's log until it ends; its exit code."""
        while not (job := self.asked(lambda: self.client.get_job_info(submission))).status.is_terminal():
            try:
                asyncio.run(self._log_of(submission))
            except (OSError, RuntimeError, aiohttp.ClientError) as error:
                say(f"the log broke off ({error}); the job goes on")
            time.sleep(PAUSE_SECONDS)
        if job.driver_exit_code is None:  # its node was lost, or it never began
            say(f"{submission} {job.status.lower()}: {job.message}")
            return AGAIN
        return int(job.driver_exit_code)

    def stop(self, submission: str) -> None:
        """Ask a job to stop, and wait until it has."""
        self.asked(lambda: self.client.stop_job(submission))
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and not self.client.get_job_status(submission).is_terminal():
            time.sleep(0.5)

    async def _log_of(self, submission: str) -> None:
        async for text in self.client.tail_job_logs(submission):
            print(text, end="", flush=True)


def _is_of(job: Any, work: str) -> bool:
    return (job.metadata or {}).get("work") == work


def say(text: str) -> None:
    """A line on stderr: stdout is the job's."""
    print(f"submit.py: {text}", file=sys.stderr, flush=True)


def fail(given: str, allowed: str, change: str) -> NoReturn:
    """One paragraph on stderr, exit code 2."""
    say(f"{given}. Allowed: {allowed}. Change: {change}.")
    raise SystemExit(MISTAKE)


def arguments(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="submit.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--address", required=True, help="URL of the head's dashboard")
    parser.add_argument("--id", required=True, help="of the work; words, digits, dots and dashes")
    parser.add_argument(
        "--done", type=int, nargs="*", default=[], metavar="CODE", help="exit codes of the job to make 0"
    )
    parser.add_argument("--wait-seconds", type=float, default=600.0, help="how long the cluster may be away (600)")
    parser.add_argument("entrypoint", nargs="+", help="the job's command, behind --")
    return parser.parse_args(words)


def _interrupt(*_: Any) -> None:
    raise StopRequestError


def main(words: list[str]) -> int:
    """See the module's docstring."""
    given = arguments(words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    submission: str | None = None
    try:
        cluster = Cluster(given.address, given.wait_seconds)
        submission = cluster.job_of(given.id, shlex.join(given.entrypoint))
        code = cluster.followed(submission)
    except AwayError as away:
        say(f"{away}. The same command goes on from what is saved")
        return AGAIN
    except StopRequestError:
        if submission is not None:
            cluster.stop(submission)
        return AGAIN
    return 0 if code in given.done else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
