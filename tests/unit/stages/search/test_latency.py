"""Candidates are timed in turns, each once; never how long it took."""

import shutil
from dataclasses import replace

import pytest

from pipeline.benchmarking.workers import WorkerError
from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.search import LatencyConfig
from pipeline.stages.random_students import random_model, write_random_package
from pipeline.stages.search import latency
from pipeline.stages.search.latency import time_packages
from pipeline.stages.search.latency_records import read_record, record_path

SMALL = LatencyConfig(
    source_tokens=5,
    new_tokens=3,
    batch=2,
    runtimes=["torch"],
    rounds=2,
    sample_seconds=0.0,
    chunk=2,
    max_other_load=1e9,
)
NAMES = ["2-1", "3-3", "1-1", "3-1", "2-2"]  # the reference first


def write_student(folder, teacher, depth, scheme="8-8-8"):
    """The first layers of a teacher, packed."""
    maps = tuple(list(range(int(layers))) for layers in depth.split("-"))
    write_random_package(folder, teacher, maps, scheme, QuantizationConfig(), 32)


def write_classifier(folder, layers):
    """An encoder with a head, packed as it is."""
    shape = ArchitectureConfig(d_model=16, ffn_dim=24, num_heads=2, encoder_layers=layers, max_positions=32)
    model = random_model(ModelConfig(family="bert", vocab_size=300, architecture=shape), 0)
    write_random_package(folder, model, (list(range(layers)), []), "32-32-32", QuantizationConfig(), 32)


@pytest.fixture
def packages(make_bart, tmp_path):
    """Students of a 3-3 teacher by their depths."""
    teacher = make_bart(3, 3)
    for depth in NAMES:
        write_student(tmp_path / "packages" / depth, teacher, depth)
    return {depth: tmp_path / "packages" / depth for depth in NAMES}


class Told:
    """In the place of `LiveWorker`: answers at once, and notes which processes held what and who was asked what."""

    started, asked = [], []
    fails = None  # the candidate whose turn ends its process

    def __init__(self, engine, paths, threads, options, *, timeout_seconds):
        self.engine, self.names = engine, list(paths)
        self.started.append((engine, self.names, threads))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def loaded(self):
        return dict.fromkeys(self.names, 1.0)

    def sample(self, model, source, new_tokens, seconds):
        if model == self.fails:
            raise WorkerError("gone")
        self.asked.append((self.engine, model, tuple(map(tuple, source)), new_tokens))
        return {"encode_ms": 1.0, "decode_ms": 2.0 + len(model), "processor_ms": 2.5}

    def processor_seconds(self):
        return 0.0


@pytest.fixture
def told(monkeypatch):
    """No process is started."""
    monkeypatch.setattr(latency, "LiveWorker", Told)
    monkeypatch.setattr(Told, "started", [])
    monkeypatch.setattr(Told, "asked", [])
    return Told


def test_every_chunk_takes_turns_with_the_reference(packages, told, tmp_path):
    """One process per runtime and chunk; the reference is measured in all of them and has one record."""
    found = time_packages(packages, "2-1", SMALL, tmp_path / "records")
    assert told.started == [("package", ["2-1", "3-3", "1-1"], 1), ("package", ["2-1", "3-1", "2-2"], 1)]
    turns = [model for _, model, *_ in told.asked]
    assert turns[:9] == [*("2-1", "3-3", "1-1"), *("2-1", "3-3", "1-1"), *("3-3", "1-1", "2-1")]  # the first warm up
    assert list(found) == NAMES
    assert {timing.num_samples for by_runtime in found.values() for timing in by_runtime.values()} == {2}
    assert sorted(path.name for path in (tmp_path / "records").iterdir()) == sorted(f"{name}.json" for name in NAMES)


def test_all_read_the_same_tokens_and_generate_as_many(packages, told, tmp_path):
    """Of all chunks; another seed gives other tokens."""
    time_packages(packages, "2-1", SMALL, tmp_path / "one")
    [(source, num_tokens)] = {(source, num_tokens) for _, _, source, num_tokens in told.asked}
    assert ([len(row) for row in source], num_tokens) == ([5, 5], 3)
    told.asked.clear()
    time_packages(packages, "2-1", SMALL, tmp_path / "two", seed=1)
    assert {other for _, _, other, _ in told.asked}.isdisjoint({source})


def test_a_second_call_measures_nothing_and_says_the_same(packages, told, tmp_path):
    """Also in parts, one after the other, from which other packages have been removed meanwhile."""
    first = time_packages(packages, "2-1", SMALL, tmp_path / "records")
    told.started.clear()
    assert time_packages(packages, "2-1", SMALL, tmp_path / "records") == first
    parts = [{name: packages[name] for name in ("2-1", other)} for other in NAMES[1:]]
    for part in parts:
        assert set(time_packages(part, "2-1", SMALL, tmp_path / "records")) == set(part)
    more_often = replace(SMALL, rounds=9, chunk=5, max_measured=3)
    assert time_packages(packages, "2-1", more_often, tmp_path / "records") == first
    assert told.started == []


def test_what_a_chunk_has_measured_survives_an_interruption(packages, told, tmp_path, monkeypatch):
    """The chunk that was interrupted is measured again, and no other; half a record is none."""
    with monkeypatch.context() as broken:
        broken.setattr(told, "fails", "2-2")
        with pytest.raises(UserError, match=r"2-2 in 'torch' could not be timed: gone"):
            time_packages(packages, "2-1", SMALL, tmp_path / "records")
    assert [name for name in NAMES if read_record(tmp_path / "records", name)] == ["2-1", "3-3", "1-1"]
    told.started.clear()
    whole = time_packages(packages, "2-1", SMALL, tmp_path / "records")
    assert told.started == [("package", ["2-1", "3-1", "2-2"], 1)] and list(whole) == NAMES
    told.started.clear()
    record_path(tmp_path / "records", "1-1").write_text('{"key": ')
    time_packages(packages, "2-1", SMALL, tmp_path / "records")
    assert told.started == [("package", ["2-1", "1-1"], 1)]


@pytest.mark.parametrize(
    "changes",
    [{"source_tokens": 6}, {"new_tokens": 4}, {"batch": 1}, {"runtimes": ["torch", "exact"]}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_conditions_are_measured_anew(packages, told, tmp_path, changes):
    """They are other times."""
    some = {name: packages[name] for name in NAMES[:2]}
    time_packages(some, "2-1", SMALL, tmp_path / "records")
    told.started.clear()
    found = time_packages(some, "2-1", replace(SMALL, **changes), tmp_path / "records")
    assert {name for _, names, _ in told.started for name in names} == set(some)
    assert set(found["3-3"]) == set(changes.get("runtimes", ["torch"]))
    assert not (tmp_path / "records" / "graphs").exists()


def test_a_package_that_has_changed_is_measured_anew(packages, told, tmp_path, make_bart):
    """And all of them where it is the reference."""
    some = {name: packages[name] for name in NAMES[:3]}
    time_packages(some, "2-1", SMALL, tmp_path / "records")
    for changed, expected in (("3-3", ["2-1", "3-3"]), ("2-1", ["2-1", "3-3", "1-1"])):
        told.started.clear()
        write_student(packages[changed], make_bart(3, 3), "1-1", "2-2-8")
        time_packages(some, "2-1", SMALL, tmp_path / "records")
        assert [names for _, names, _ in told.started] == [expected]


def test_what_a_runtime_cannot_run_is_left_out_and_not_tried_again(packages, told, tmp_path, monkeypatch, caplog):
    """But a reference must run in all."""
    some = {name: packages[name] for name in NAMES[:2]}
    settings = replace(SMALL, runtimes=["exact", "torch"])

    def refuse(package, folder, variant):
        if package.name == refused:
            raise UserError("no graph", "another", "change it")

    monkeypatch.setattr(latency, "exported_once", refuse)
    monkeypatch.setattr(latency, "model_bytes", lambda folder: 1)
    refused = "3-3"
    found = time_packages(some, "2-1", settings, tmp_path / "records")
    assert (set(found["2-1"]), set(found["3-3"])) == ({"exact", "torch"}, {"torch"})
    assert "3-3 has no time in 'exact': no graph" in caplog.text
    told.started.clear()
    assert time_packages(some, "2-1", settings, tmp_path / "records") == found and told.started == []
    refused = "2-1"
    with pytest.raises(UserError, match="no graph"):
        time_packages(some, "2-1", settings, tmp_path / "other")


def test_students_are_timed_in_live_processes(packages, tmp_path):
    """In torch and as graphs; only records are left, which say how long measuring took."""
    some = {name: packages[name] for name in NAMES[:2]}
    settings = replace(SMALL, runtimes=["torch", "fast"], rounds=1)
    found = time_packages(some, "2-1", settings, tmp_path / "records")
    for name, by_runtime in found.items():
        assert set(by_runtime) == {"torch", "fast"}
        assert all(timing.median_ms > timing.encode_ms > 0 for timing in by_runtime.values())
        assert all(timing.processor_ms > 0 for timing in by_runtime.values())
        record = read_record(tmp_path / "records", name)
        assert record.seconds > 0 and all(entry.file_bytes > 0 for entry in record.runtimes.values())
    assert not (tmp_path / "records" / "graphs").exists()


def test_classifiers_are_timed_by_one_pass(tmp_path):
    """They generate nothing, and all of their time is the encoder's."""
    packages = {f"L{layers}": tmp_path / f"L{layers}" for layers in (1, 2)}
    for layers, folder in enumerate(packages.values(), start=1):
        write_classifier(folder, layers)
    settings = replace(SMALL, runtimes=["fast"], rounds=1)
    found = time_packages(packages, "L1", settings, tmp_path / "records")
    for by_runtime in found.values():
        assert set(by_runtime) == {"fast"}
        assert all(timing.median_ms == timing.encode_ms > 0 for timing in by_runtime.values())


BAD = [
    ({"source_tokens": 65}, {}, "65 tokens for a model of 64 positions"),
    ({"new_tokens": 64}, {}, "65 tokens for a model of 64 positions"),
    ({"threads": 9999}, {}, "9999 threads"),
    ({}, {"reference": "6-6"}, "reference '6-6', which is no candidate"),
    ({}, {"name": "a/b"}, "a candidate called 'a/b'"),
    ({}, {"name": ".hidden"}, "a candidate called '.hidden'"),
]


@pytest.mark.parametrize(("settings", "changes", "message"), BAD, ids=[message for *_, message in BAD])
def test_what_cannot_be_timed_is_refused(packages, told, tmp_path, settings, changes, message):
    """Before anything is exported or started."""
    named = {"2-1": packages["2-1"], changes.get("name", "3-3"): packages["3-3"]}
    with pytest.raises(UserError, match=message):
        time_packages(named, changes.get("reference", "2-1"), replace(SMALL, **settings), tmp_path / "records")
    assert told.started == [] and not (tmp_path / "records").exists()


def test_students_and_classifiers_are_not_timed_together(packages, told, tmp_path):
    """Nor is a folder that holds no package."""
    write_classifier(tmp_path / "L1", 1)
    mixed = {"2-1": packages["2-1"], "L1": tmp_path / "L1"}
    with pytest.raises(UserError, match="1 candidates that generate and 1 that classify"):
        time_packages(mixed, "2-1", SMALL, tmp_path / "records")
    shutil.rmtree(packages["3-3"])
    with pytest.raises(UserError, match="no model at"):
        time_packages(packages, "2-1", SMALL, tmp_path / "records")
    assert told.started == []


@pytest.mark.parametrize("runtimes", [[], ["torch", "torch"], ["slow"]])
def test_runtimes_are_known(runtimes):
    """At least one, each once."""
    with pytest.raises(UserError, match=r"search\.latency\.runtimes="):
        LatencyConfig(runtimes=runtimes)
