"""SIGTERM is a request: obeyed at once where nothing is lost, between steps where something is trained, and once."""

import os
import signal
import threading

import pytest

from pipeline.training.stop_request import Stopped, asked, at_once, at_steps, listen_again, listening, seconds_asked


@pytest.fixture(autouse=True)
def handler():
    """Whoever had the signal has it again."""
    earlier = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, earlier)


def request():
    signal.raise_signal(signal.SIGTERM)


def test_a_request_interrupts_what_is_no_training():
    """With an exit code of its own, past everybody who handles failures."""
    with pytest.raises(Stopped, match="submit the same command again") as stop, listening():
        try:
            request()
        except Exception:
            pytest.fail("taken for a failure")
    assert stop.value.code == 75 and not isinstance(stop.value, Exception)


def test_a_request_waits_for_the_end_of_a_step():
    """Who is inside sees it; whoever does not look is stopped at the end."""
    seen = []
    with pytest.raises(Stopped), listening(), at_steps():
        seen.append(asked())
        request()
        seen.append(asked() and seconds_asked() >= 0)
    assert seen == [False, True] and seconds_asked() is None


def test_what_takes_long_between_steps_is_interrupted():
    """Also where the request came just before; afterwards steps are whole again."""
    seen = []
    with pytest.raises(Stopped), listening(), at_steps():
        with at_once():
            seen.append("undisturbed")
        request()
        with at_once():
            pytest.fail("begun after the request")
    with pytest.raises(Stopped), listening(), at_steps(), at_once():
        request()
    assert seen == ["undisturbed"]


def test_a_second_request_does_not_disturb_the_leaving():
    """Neither what is saved on the way nor what is printed after it."""
    with pytest.raises(Stopped), listening():
        try:
            request()
        finally:
            request()
    request()


def test_an_error_of_a_step_stays_what_it_is():
    """A request that came meanwhile takes nothing from it."""
    with pytest.raises(ValueError, match="of the step"), listening(), at_steps():
        request()
        raise ValueError("of the step")


def test_a_request_is_forgotten_with_its_job():
    """The next one in the same process trains; who was not asked leaves the signal as it was."""
    with pytest.raises(Stopped), listening():
        request()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with listening():
        assert not asked()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_signal_is_taken_back_from_a_library():
    """Where a job listens; without one it stays the library's."""

    def of_library(*_):
        pytest.fail("the library's")

    with pytest.raises(Stopped), listening():
        signal.signal(signal.SIGTERM, of_library)
        listen_again()
        request()
    signal.signal(signal.SIGTERM, of_library)
    listen_again()
    assert signal.getsignal(signal.SIGTERM) is of_library


def test_a_forked_process_is_no_job():
    """It ends by the signal, also where the job itself would finish its step."""
    with listening(), at_steps():
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        _, status = os.waitpid(child, 0)
        assert not asked()
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM


def test_other_threads_change_nothing():
    """They get no signals, and must not hold up those of the main thread."""

    def body():
        with listening(), at_steps(), at_once():
            pass

    with pytest.raises(Stopped), listening():
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        request()
        pytest.fail("held up")
