"""What is measured is known, whatever it is called; the rest is predicted from it."""

from types import SimpleNamespace

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.search import LatencyConfig
from pipeline.stages.search import latencies as module
from pipeline.stages.search.latencies import latencies_of
from pipeline.stages.search.latency_records import Timing
from pipeline.stages.search.space import Point


def point(name, layers):
    return Point(name=name, architecture=ArchitectureConfig(encoder_layers=layers), has_decoder=False)


def timing(milliseconds):
    times = dict.fromkeys(("median_ms", "lower_ms", "upper_ms", "encode_ms", "processor_ms"), milliseconds)
    counts = {"num_samples": 7, "num_disturbed": 0, "is_disturbed": False, "other_load": 0.0}
    return Timing(**times, **counts, processor_spread_ms=0.0, relative=1.0, drift=1.0)


def test_a_candidate_that_has_another_name_too_has_the_time_that_was_measured_under_it(monkeypatch):
    """Else a table would predict what stands measured beside it."""
    space = [point(f"{layers} layers", layers) for layers in (1, 2, 3, 4, 5, 6)]
    named = [point("Bort", 4)]
    settings = LatencyConfig(max_measured=3)
    costs = {
        one.name: SimpleNamespace(values={"operations": one.architecture.encoder_layers * 1e6, "size_bytes": 1e6})
        for one in [*space, *named]
    }

    def timed(job, points, reference, *, measures):
        return {
            one.name: {settings.runtimes[0]: timing(7.5 if one.name == "Bort" else one.architecture.encoder_layers)}
            for one in points
        }

    monkeypatch.setattr(module, "_timings", timed)
    job = SimpleNamespace(config=SimpleNamespace(search=SimpleNamespace(latency=settings)))
    known = latencies_of(job, space, named, costs, measures=True).of
    measured = {name for name, latency in known.items() if latency.is_measured}
    assert known["4 layers"].milliseconds == known["Bort"].milliseconds == 7.5
    assert {"Bort", "4 layers"} < measured < set(known)
