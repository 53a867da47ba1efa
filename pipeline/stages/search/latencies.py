"""Milliseconds of points: measured, and where there are too many, predicted by a model of those that were."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.benchmarking.conditions import export_sources, machine_name
from pipeline.benchmarking.engines.engine import releases
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.search.latency_model import LatencyModel, MeasuredPoint, fit_latency
from pipeline.search.measured_points import points_to_measure
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.candidate_packages import CandidatePackages
from pipeline.stages.search.costs import PointCosts
from pipeline.stages.search.latency import time_packages
from pipeline.stages.search.latency_records import Timing
from pipeline.stages.search.space import Point
from pipeline.storage.atomic import atomic_json

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """The time of a point, in the first of the runtimes.

    Args:
        milliseconds: the median, or what the model says.
        low: lower end of the middle half of the samples, or of the prediction's interval.
        high: the upper end.
        is_measured: whether it was measured.
        by_runtime: medians of all runtimes, of a measured point.
    """

    milliseconds: float
    low: float
    high: float
    is_measured: bool
    by_runtime: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """The times of points as far as they are known.

    Args:
        of: name of a point -> its time.
        model: what predicted those that were not measured; none where all were, or nothing was.
        errors: name of a measured point -> what the model says of it when it has not seen it, by what was measured,
            less one.
    """

    of: Mapping[str, Latency] = field(default_factory=dict)
    model: LatencyModel | None = None
    errors: Mapping[str, float] = field(default_factory=dict)

    def milliseconds(self, name: str) -> float | None:
        """Of a point; none where it is not known."""
        return self.of[name].milliseconds if name in self.of else None


def latencies_of(
    job: OpenedJob[OseSearchJob],
    points: Sequence[Point],
    named: Sequence[Point],
    costs: Mapping[str, PointCosts],
    *,
    measures: bool,
) -> Latencies:
    """Times of all points; those that are measured are so once for this machine and these settings.

    Args:
        job: how many are measured, and how.
        points: of the space.
        named: further ones, all of which are measured.
        costs: of all of them.
        measures: whether what nobody has measured is measured now; else nothing is known.
    """
    settings = job.config.search.latency
    if not settings.max_measured:
        return Latencies()
    order = sorted(points, key=lambda point: costs[point.name].values["operations"])
    places = points_to_measure([_parameters(point) for point in order], settings.max_measured)
    chosen = [*(order[place] for place in places), *named]
    packages = CandidatePackages(job)
    keys = {point.name: packages.key(point) for point in chosen}
    conditions = [machine_name(), releases(), export_sources()]
    file = job.storage.cache / "latencies" / f"{config_hash(keys, decisions(settings), conditions)}.json"
    if not file.is_file():
        if not measures:
            log.info(f"the times of {len(chosen)} candidates are not measured yet")
            return Latencies()
        with tempfile.TemporaryDirectory(dir=job.storage.cache) as folder:
            paths = {keys[point.name]: Path(folder) / keys[point.name] for point in chosen}
            for point in chosen:
                packages.write(point, paths[keys[point.name]])
            timed = time_packages(paths, keys[chosen[0].name], settings, job.storage.cache / "latency_records")
        atomic_json(file, {key: {name: asdict(one) for name, one in of.items()} for key, of in timed.items()})
    written = json.loads(file.read_text())
    timings = {name: {runtime: Timing(**one) for runtime, one in written[key].items()} for name, key in keys.items()}
    return _with_predictions(points, named, costs, timings, settings.runtimes[0])


def _with_predictions(
    points: Sequence[Point],
    named: Sequence[Point],
    costs: Mapping[str, PointCosts],
    timings: Mapping[str, Mapping[str, Timing]],
    runtime: str,
) -> Latencies:
    measured = {name: of[runtime] for name, of in timings.items() if runtime in of}
    known = {
        name: Latency(
            milliseconds=one.median_ms,
            low=one.lower_ms,
            high=one.upper_ms,
            is_measured=True,
            by_runtime={other: timing.median_ms for other, timing in timings[name].items()},
        )
        for name, one in measured.items()
    }
    space = [point for point in points if point.name in measured]
    if len(space) < 2:
        return Latencies(of=known)
    features = {point.name: _features(point, costs[point.name]) for point in [*points, *named]}
    model = fit_latency(
        [
            MeasuredPoint(
                features=features[point.name],
                milliseconds=measured[point.name].median_ms,
                spread_ms=measured[point.name].spread_ms,
            )
            for point in space
        ]
    )
    for point in points:
        if point.name not in known:
            guess = model.predict(features[point.name])
            known[point.name] = Latency(
                milliseconds=guess.milliseconds, low=guess.low, high=guess.high, is_measured=False
            )
    errors = dict(zip((point.name for point in space), model.errors, strict=True))
    return Latencies(of=known, model=model, errors=errors)


def _parameters(point: Point) -> dict[str, float]:
    """The architectural parameters of a point, by which measured ones are spread."""
    if point.architecture is not None:
        names = ("encoder_layers", "decoder_layers", "num_heads", "d_model", "ffn_dim")
        return {name: float(getattr(point.architecture, name)) for name in names}
    assert point.student is not None
    encoder, decoder = point.student.num_layers
    weights, embeddings, _ = map(float, point.student.scheme.split("-"))
    parameters = {"encoder_layers": encoder, "decoder_layers": decoder or 0, "heads": point.student.heads}
    return {**parameters, "weight_bits": weights, "embedding_bits": embeddings}


def _features(point: Point, costs: PointCosts) -> dict[str, float]:
    """What a time is taken to be a sum of, the most important first."""
    parameters, values = _parameters(point), costs.values
    layers = {name: parameters[name] for name in ("decoder_layers", "encoder_layers")}
    return {"constant": 1.0, **layers, "operations": values["operations"], "size_bytes": values["size_bytes"]}
