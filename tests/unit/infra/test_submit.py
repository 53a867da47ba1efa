"""What a submitter makes of answers, of silence and of logs that break off."""

import asyncio
import importlib.util
from types import SimpleNamespace

import pytest
from repository import ROOT


@pytest.fixture
def submit():
    """The module."""
    spec = importlib.util.spec_from_file_location("submit", ROOT / "infra" / "submit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def cluster(submit):
    """A cluster that was never asked."""
    found = object.__new__(submit.Cluster)
    found.address, found.wait_seconds, found.num_printed, found.submission = "http://x", 0.0, 0, "work-1"
    return found


def answers(status):
    """A question whose answer is an error of Ray's client."""

    def question():
        raise RuntimeError(f"Request failed with status code {status}: text.")

    return question


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_cluster_that_lost_the_job_or_does_not_answer_is_away(status, submit, cluster):
    """A new head knows nothing of the job; whoever calls again goes on."""
    with pytest.raises(submit.AwayError):
        cluster.asked(answers(status))


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_question_that_is_refused_is_a_mistake(status, cluster, capsys):
    """The same again would be refused again."""
    with pytest.raises(SystemExit) as end:
        cluster.asked(answers(status))
    assert end.value.code == 2 and "Allowed:" in capsys.readouterr().err


def test_a_node_that_was_cut_off_is_not_waited_for(submit, cluster, monkeypatch):
    """It neither answers nor refuses, and Ray's client would wait for ever."""
    monkeypatch.setattr(submit, "ANSWER_SECONDS", 0.01)
    held = submit.threading.Event()
    with pytest.raises(submit.AwayError, match="did not answer"):
        cluster.asked(held.wait)
    held.set()


def logs(*texts, silent=False):
    """A client whose log has these pieces; silent: and then says nothing."""

    async def tail(_):
        for text in texts:
            yield text
        if silent:
            await asyncio.sleep(60)

    return SimpleNamespace(tail_job_logs=tail, get_job_logs=lambda _: "".join(texts) + "the end\n")


def test_a_log_is_printed_once_however_often_it_breaks_off(submit, cluster, monkeypatch, capsys):
    """It is told from its beginning each time, in other pieces; what came at the end is asked for."""
    monkeypatch.setattr(submit, "SILENCE_SECONDS", 0.05)
    for pieces in (["one\n", "tw"], ["one\ntwo\nth"], ["o", "ne\ntwo\n", "three\n"]):
        cluster.client = logs(*pieces, silent=True)
        with pytest.raises(TimeoutError):
            asyncio.run(cluster._log_of("work-1"))
    cluster._print_rest("work-1")
    assert capsys.readouterr().out == "one\ntwo\nthree\nthe end\n"
