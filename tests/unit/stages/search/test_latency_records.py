"""How times of different hours compare, and what becomes of disturbed samples."""

import json

import pytest

from pipeline.benchmarking.rounds import TimedSample
from pipeline.stages.search.latency_records import (
    LatencyRecord,
    RuntimeSamples,
    read_record,
    record_path,
    timings_of,
    write_record,
)


def samples(*totals, other_load=0.0):
    parts = [{"encode_ms": total / 4, "decode_ms": 3 * total / 4, "processor_ms": total / 2} for total in totals]
    return [TimedSample(**part, other_load=other_load) for part in parts]


def record(own, reference, **changes):
    found = RuntimeSamples(file_bytes=1, load_ms=1.0, samples=own, reference=reference)
    about = {"key": "a", "seconds": 2.0, "max_other_load": 0.2, "conditions": {"threads": 1}, "left_out": {}}
    return LatencyRecord(**about, runtimes={"torch": found}, **changes)


def test_a_chunk_on_a_slower_machine_is_brought_to_the_speed_of_all():
    """The reference took twice as long there, and so did the candidate: both candidates are equally fast."""
    quick, slow = samples(9.0, 10.0, 11.0), samples(18.0, 20.0, 22.0)
    records = {
        "reference": record(quick, quick),
        "early": record(samples(4.0, 5.0, 6.0), quick),
        "late": record(samples(8.0, 10.0, 12.0), slow),
    }
    found = {name: by_runtime["torch"] for name, by_runtime in timings_of(records).items()}
    assert [found[name].median_ms for name in records] == [10.0, 5.0, 5.0]
    assert [found[name].relative for name in records] == [1.0, 0.5, 0.5]
    assert [found[name].drift for name in records] == [1.0, 1.0, 2.0]
    assert (found["late"].lower_ms, found["late"].upper_ms, found["late"].spread_ms) == (4.5, 5.5, 0.5)
    assert found["late"].encode_ms == 1.25
    assert (found["early"].processor_ms, found["late"].processor_ms, found["late"].processor_spread_ms) == (
        2.5,
        2.5,
        0.25,
    )


def test_disturbed_samples_do_not_count():
    """They are counted."""
    own = samples(5.0, 5.0, 5.0) + samples(50.0, 60.0, other_load=0.3)
    timing = timings_of({"one": record(own, samples(10.0))})["one"]["torch"]
    assert (timing.median_ms, timing.num_samples, timing.num_disturbed, timing.is_disturbed) == (5.0, 3, 2, False)
    assert timing.other_load == 0.0


def test_where_almost_all_are_disturbed_all_count_and_it_is_said():
    """Of a machine that is never left alone there are still times."""
    own = samples(5.0) + samples(7.0, 8.0, 9.0, other_load=1.5)
    timing = timings_of({"one": record(own, samples(10.0, other_load=1.5))})["one"]["torch"]
    assert (timing.median_ms, timing.num_samples, timing.num_disturbed, timing.is_disturbed) == (7.5, 4, 3, True)


def test_a_candidate_without_times_in_a_runtime_has_none_there():
    """The others have."""
    lacking = LatencyRecord(
        key="a", seconds=1.0, max_other_load=0.2, conditions={}, runtimes={}, left_out={"torch": "no reason"}
    )
    assert set(timings_of({"one": record(samples(1.0), samples(1.0)), "other": lacking})["one"]) == {"torch"}
    assert timings_of({"other": lacking}) == {"other": {}}


def test_a_record_is_read_as_it_was_written(tmp_path):
    """What is no record of this version is none: it is measured again."""
    written = record(samples(1.5, 2.5), samples(3.0, other_load=0.25))
    write_record(tmp_path, "2-2-8 3-1", written)
    assert read_record(tmp_path, "2-2-8 3-1") == written
    path = record_path(tmp_path, "2-2-8 3-1")
    whole = json.loads(path.read_text())
    for broken in ("", "[]", "{}", json.dumps(whole | {"runtimes": {"torch": {}}}), json.dumps(whole | {"more": 1})):
        path.write_text(broken)
        assert read_record(tmp_path, "2-2-8 3-1") is None
    assert read_record(tmp_path, "none") is None


@pytest.mark.parametrize("seconds", [0.0, 7.5])
def test_nothing_but_the_record_is_left_in_the_folder(tmp_path, seconds):
    """Whole or absent."""
    written = LatencyRecord(key="a", seconds=seconds, max_other_load=0.2, conditions={}, runtimes={}, left_out={})
    write_record(tmp_path / "new", "one", written)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.json"]
