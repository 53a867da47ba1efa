"""Run a job on a Ray cluster that is reached over the network, as a scheduler wants it: follow it, end as it does.

    python infra/submit.py --address http://dq-head-svc:8265 --id nightly-28934 --done 10 -- python jobs/retrain.py ...

The job's log is this command's, and so is its exit code (`ray job submit` makes 1 of all of them); 75 where the
cluster, or what it knew of the job, is gone. The token is where Ray looks for it: RAY_AUTH_MODE=token, and
RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.

One `--id` is one piece of work: called again with it while its job runs, this command follows that job; after it the
job is submitted once more. SIGTERM stops the job, which saves its step, and whoever calls next goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import queue
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import aiohttp

STOP_SECONDS = 40.0  # a job needs 30 s to save its step and end its runs
PAUSE_SECONDS = 2.0
ANSWER_SECONDS = 60.0  # for a question: a node that was cut off answers nothing, and Ray's client waits for ever
SILENCE_SECONDS = 60.0  # of a log, until the job is asked for: its node may be cut off
AGAIN = os.EX_TEMPFAIL  # 75: submitted again, the job goes on
MISTAKE = 2
MISTAKES = {400, 401, 403, 422}  # answers that would be the same again
STATUS = re.compile(r"status code (\d+)")

Answer = TypeVar("Answer")


class StopRequestError(Exception):
    """Whoever runs this command wants it to end."""


class AwayError(Exception):
    """The cluster did not answer for as long as it may, or knows nothing of the job."""


class Cluster:
    """A Ray cluster's job server.

    Args:
        address: its URL.
        wait_seconds: how long it may be away, at the start and in between.
    """

    def __init__(self, address: str, wait_seconds: float) -> None:
        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they would count more than what is asked for
            os.environ.pop(name, None)
        from ray.job_submission import JobSubmissionClient

        self.address, self.wait_seconds = address, wait_seconds
        self.num_printed = 0  # characters of the log
        self.submission: str | None = None
        self.client: Any = self.asked(lambda: JobSubmissionClient(address))

    def asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, however often it has to be asked.

        Raises:
            AwayError: there was none in time, or it was that there is no such job.
            SystemExit: the token is not the cluster's, or it does not take what it is asked.
        """
        from ray.exceptions import AuthenticationError

        deadline = time.monotonic() + self.wait_seconds
        while True:
            try:
                return _within(ANSWER_SECONDS, question)
            except AuthenticationError as error:
                fail(
                    f"{self.address}: {str(error).splitlines()[0]}",
                    "RAY_AUTH_MODE=token and the token of the cluster in RAY_AUTH_TOKEN_PATH or RAY_AUTH_TOKEN",
                    "compare them with those of the head",
                )
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                status = int(found[1]) if (found := STATUS.search(str(error))) else 0
                if status == 404:  # a head that took the place of another
                    raise AwayError(f"{self.address} knows nothing of {self.submission}") from error
                if status in MISTAKES:
                    fail(f"{self.address}: {error}", "what Ray's job server takes", "see its answer")
                if time.monotonic() > deadline:
                    raise AwayError(f"{self.address} did not answer for {self.wait_seconds:.0f} s: {error}") from error
                time.sleep(PAUSE_SECONDS)

    def job_of(self, work: str, entrypoint: str) -> str:
        """The submission that does a piece of work: the one that runs, else a new one."""
        earlier = {job.submission_id: job for job in self.asked(self.client.list_jobs) if _is_of(job, work)}
        for submission, job in earlier.items():
            if not job.status.is_terminal():
                self.submission = str(submission)
                say(f"{submission} runs already; its log follows")
                return self.submission
        self.submission = name = f"{work}-{len(earlier) + 1}"

        def submit() -> None:  # an answer that was lost may have been yes
            if name not in {job.submission_id for job in self.client.list_jobs()}:
                self.client.submit_job(entrypoint=entrypoint, submission_id=name, metadata={"work": work})

        self.asked(submit)
        say(f"submitted as {name}")
        return name

    def followed(self, submission: str) -> int:
        """Print a job's log until it ends; its exit code."""
        while not (job := self.asked(lambda: self.client.get_job_info(submission))).status.is_terminal():
            try:
                asyncio.run(self._log_of(submission))
            except TimeoutError:
                continue  # it says nothing: is it still there?
            except (OSError, RuntimeError, aiohttp.ClientError) as error:
                say(f"the log broke off ({error}); the job goes on")
            time.sleep(PAUSE_SECONDS)
        self._print_rest(submission)
        if job.driver_exit_code is None:  # its node was lost, or it never began
            say(f"{submission} {job.status.lower()}: {job.message}")
            return AGAIN
        return int(job.driver_exit_code)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask the job to stop, wait until it has, and print what it said.

        Raises:
            AwayError: nobody answers.
        """
        if (submission := self.submission) is None:
            return
        self.wait_seconds = min(self.wait_seconds, seconds)
        self.asked(lambda: self.client.stop_job(submission))
        deadline = time.monotonic() + seconds
        while (
            time.monotonic() < deadline and not self.asked(lambda: self.client.get_job_status(submission)).is_terminal()
        ):
            time.sleep(0.5)
        self._print_rest(submission)

    async def _log_of(self, submission: str) -> None:
        """Print what is new; a log that is asked for again is told from its beginning.

        Raises:
            TimeoutError: nothing was said for a while.
        """
        seen, texts = 0, self.client.tail_job_logs(submission).__aiter__()
        while (text := await asyncio.wait_for(anext(texts, None), SILENCE_SECONDS)) is not None:
            seen += len(text)
            self._print(text[max(0, len(text) - (seen - self.num_printed)) :] if seen > self.num_printed else "")

    def _print_rest(self, submission: str) -> None:
        try:
            self._print(self.asked(lambda: self.client.get_job_logs(submission))[self.num_printed :])
        except AwayError as away:
            say(str(away))

    def _print(self, text: str) -> None:
        print(text, end="", flush=True)
        self.num_printed += len(text)


def _within(seconds: float, question: Callable[[], Answer]) -> Answer:
    """The answer of a call that may wait for ever.

    Raises:
        TimeoutError: none came in time; the call is left to itself.
    """
    told: queue.Queue[tuple[Answer | None, Exception | None]] = queue.Queue()

    def ask() -> None:
        try:
            told.put((question(), None))
        except Exception as error:
            told.put((None, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer, error = told.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


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
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # it is leaving
    raise StopRequestError


def main(words: list[str]) -> int:
    """See the module's docstring."""
    given = arguments(words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    cluster: Cluster | None = None
    try:
        cluster = Cluster(given.address, given.wait_seconds)
        code = cluster.followed(cluster.job_of(given.id, shlex.join(given.entrypoint)))
        return 0 if code in given.done else code
    except StopRequestError:
        try:
            if cluster is not None:
                cluster.stop()
        except AwayError as away:
            say(str(away))
        return AGAIN
    except AwayError as away:
        say(f"{away}. The same command goes on from what is saved")
        return AGAIN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
