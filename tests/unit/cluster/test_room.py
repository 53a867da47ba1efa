"""What fits into a cluster, and what happens when it no longer does."""

import threading

import pytest

from pipeline.cluster import groups, room
from pipeline.cluster.room import GIB, check_resources, num_groups, worker_memory_bytes
from pipeline.cluster.stop_files import StopFiles
from pipeline.config.errors import UserError
from pipeline.config.sections.cluster import ClusterConfig

PAIR = ClusterConfig(num_workers=2, cpus_per_worker=2)


def nodes(*sizes):
    return [{"CPU": cpus, "memory": gib * GIB} for cpus, gib in sizes]


@pytest.mark.parametrize(
    ("sizes", "gib", "number"),
    [([(4, 8)], 4, 1), ([(4, 8)], 5, 0), ([(2, 8), (2, 8)], 5, 1), ([(8, 8)], 2, 2), ([(3, 9), (3, 9), (3, 9)], 1, 1)],
)
def test_only_whole_workers_fit_into_a_node(sizes, gib, number):
    """By CPU and by memory."""
    assert num_groups(PAIR, nodes(*sizes), gib * GIB) == number


@pytest.mark.parametrize(
    ("sizes", "gib"),
    [([(4, 8)], 4), ([(2, 8), (2, 6)], 6), ([(2, 8), (4, 6)], 6), ([(4, 8), (4, 2)], 4), ([(1, 8)], 0)],
)
def test_a_worker_may_have_what_every_worker_of_a_group_can_have_at_once(monkeypatch, sizes, gib):
    """The largest share under which a group still fits."""
    monkeypatch.setattr(room, "nodes_alive", lambda: nodes(*sizes))
    assert worker_memory_bytes(PAIR) == gib * GIB
    assert worker_memory_bytes(ClusterConfig(worker_memory_gib=1.5)) == 1.5 * GIB


@pytest.mark.parametrize("memory", [8_000_000_001, 7_999_999_999])
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_bytes_that_do_not_divide_evenly_are_no_obstacle(monkeypatch, memory, num_workers):
    """Less than one byte a worker is lost."""
    monkeypatch.setattr(room, "nodes_alive", lambda: [{"CPU": 8.0, "memory": float(memory)}])
    found = worker_memory_bytes(ClusterConfig(num_workers=num_workers))
    assert memory / num_workers - 1 < found <= memory / num_workers


@pytest.mark.parametrize(
    ("there", "memory", "shown"),
    [
        (nodes((2, 1), (1, 1)), 0, "2 CPU; 1 CPU"),
        (nodes((4, 4)), 3 * GIB, "4 CPU, 4.0 GiB"),
        ([{"CPU": 4.0}, {"memory": 64.0 * GIB}], GIB, "4 CPU, 0.0 GiB; 0 CPU, 64.0 GiB"),
        ([], 0, "there are none"),
    ],
)
def test_what_can_never_be_placed_is_refused(there, memory, shown):
    """With what each node has; a worker takes all it needs from one node."""
    with pytest.raises(UserError, match=r"2 workers with 2 CPU") as caught:
        check_resources(PAIR, there, memory)
    assert caught.value.allowed.endswith(shown)


def test_an_autoscaler_is_asked_and_the_question_taken_back(monkeypatch):
    """Nodes may come while the job waits; whether they do or not, none are kept for it."""
    asked = []
    monkeypatch.setattr("ray.autoscaler.sdk.request_resources", lambda bundles: asked.append(len(bundles)))
    monkeypatch.setattr(room, "POLL_SECONDS", 0.0)
    answers = iter([[], nodes((4, 1))])
    monkeypatch.setattr(room, "nodes_alive", lambda: next(answers))
    room.wait_for_resources(ClusterConfig(num_workers=2, cpus_per_worker=2, wait_seconds=60.0))
    assert asked == [2, 0]
    monkeypatch.setattr(room, "nodes_alive", list)
    with pytest.raises(UserError, match="there are none"):
        room.wait_for_resources(PAIR)


def test_groups_run_at_the_same_time_and_fail_alone():
    """Both are inside before either ends; an error reaches the caller and not the other."""
    both, ended = threading.Barrier(2, timeout=30), {}

    def fails():
        both.wait()
        raise RuntimeError("lost")

    groups.run_side_by_side({"a": both.wait, "b": fails}, ClusterConfig(), lambda n, e: ended.update({n: e}))
    assert (ended["a"], str(ended["b"])) == (None, "lost")


def test_without_ray_groups_run_one_after_the_other_in_this_thread():
    """Nothing is shared by two trainings of one process."""
    seen, cluster = [], ClusterConfig(launcher="process", engine="torch", num_workers=1)
    calls = {name: lambda n=name: seen.append((n, threading.current_thread())) for name in "ab"}
    groups.run_side_by_side(calls, cluster, lambda n, e: seen.append((n, e)))
    here = threading.main_thread()
    assert seen == [("a", here), ("a", None), ("b", here), ("b", None)]


def test_lost_nodes_are_named_and_waited_for_only_so_long(monkeypatch, capsys):
    """By memory, too; nodes that come back in time are as good as new; else the error says what to do."""
    clock = iter(range(0, 1000, 50))
    monkeypatch.setattr(groups.time, "monotonic", lambda: next(clock))
    alive = {}
    monkeypatch.setattr(groups, "nodes_alive", lambda: alive["nodes"])
    watch = groups._Watch("cohort 1", PAIR, 2 * GIB)
    for alive["nodes"], seconds in ((nodes((4, 4)), 0), (nodes((4, 3)), 50), (nodes((4, 4)), 0), (nodes((2, 4)), 300)):
        for _ in range(seconds // 50 + 1):
            watch.look()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and said[0].startswith(
        "warning: cohort 1 cannot be placed: 2 workers with 2 CPU, 2.0 GiB each"
    )
    with pytest.raises(UserError, match=r"nodes were lost.*submit the same command"):
        watch.look()


def test_a_watched_call_raises_its_own_error_and_that_of_the_watch(monkeypatch, tmp_path):
    """Whichever comes first."""

    def fails():
        raise ValueError("of the call")

    files = StopFiles(going_on=tmp_path / "going_on", training=tmp_path / "training")
    with pytest.raises(ValueError, match="of the call"):
        groups.run_watched(fails, "x", PAIR, 0.0, files)
    for name in ("WATCH_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(groups, name, 0.01)
    monkeypatch.setattr(groups, "nodes_alive", list)
    hangs = threading.Event()
    with pytest.raises(UserError, match="nodes were lost"):
        groups.run_watched(hangs.wait, "x", ClusterConfig(num_workers=2, lost_node_seconds=0.0), 0.0, files)
    hangs.set()
