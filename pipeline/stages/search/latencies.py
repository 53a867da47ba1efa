"""Milliseconds of points: measured, and where there are too many, predicted by a model of those that were."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline.benchmarking.conditions import export_sources, machine_name
from pipeline.benchmarking.engines.engine import releases
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.search import LatencyConfig
from pipeline.search.latency_model import LatencyModel, MeasuredPoint, fit_latency
from pipeline.search.measured_points import points_to_measure
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.candidate_packages import CandidatePackages
from pipeline.stages.search.costs import PointCosts
from pipeline.stages.search.latency import time_packages
from pipeline.stages.search.latency_records import Timing
from pipeline.stages.search.space import Point
from pipeline.storage.sealed_json import found_json, sealed_json

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

    def scaled(self, factor: float) -> Latency:
        """The same on a machine that is slower by a factor."""
        return replace(
            self,
            milliseconds=self.milliseconds * factor,
            low=self.low * factor,
            high=self.high * factor,
            by_runtime={name: value * factor for name, value in self.by_runtime.items()},
        )


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """The times of points as far as they are known.

    Args:
        of: name of a point -> its time.
        model: what predicted those that were not measured; none where all were, or nothing was.
        errors: name of a measured point -> what the model says of it when it has not seen it, by what was measured,
            less one.
        reference: the point that takes its turns with all that are measured.
    """

    of: Mapping[str, Latency] = field(default_factory=dict)
    model: LatencyModel | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    reference: Point | None = None

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
    timings = _timings(job, chosen, chosen[0], measures=measures)
    if timings is None:
        log.info(f"the times of {len(chosen)} candidates are not measured yet")
        return Latencies()
    return replace(_with_predictions(points, named, costs, timings, settings), reference=chosen[0])


def confirmed(
    job: OpenedJob[OseSearchJob], latencies: Latencies, points: Sequence[Point], *, measures: bool
) -> Latencies:
    """The same with the times of some points measured that were predicted; their errors say how wrong the model was.

    Args:
        job: how they are measured.
        latencies: what is known, with a model.
        points: those whose times are wanted.
        measures: whether they are measured now if nobody has; else they stay predictions.
    """
    reference, settings = latencies.reference, job.config.search.latency
    wanted = [one for one in points if one.name in latencies.of and not latencies.of[one.name].is_measured]
    if reference is None or not wanted:
        return latencies
    known, errors = dict(latencies.of), dict(latencies.errors)
    for point in wanted:  # one by one, so that another choice later finds those that were measured
        if (timings := _timings(job, [reference, point], reference, measures=measures)) is None:
            continue
        measured = _measured(timings, settings)
        if not {reference.name, point.name} <= set(measured):
            log.warning(f"{point.name} has no time in '{settings.runtimes[0]}': its prediction stands")
            continue
        drift = measured[reference.name].milliseconds / known[reference.name].milliseconds
        found = measured[point.name].scaled(1 / drift)
        errors[point.name] = known[point.name].milliseconds / found.milliseconds - 1
        known[point.name] = found
    return replace(latencies, of=known, errors=errors)


def _timings(
    job: OpenedJob[OseSearchJob], points: Sequence[Point], reference: Point, *, measures: bool
) -> dict[str, dict[str, Timing]] | None:
    """Name of a point -> its times by runtime; none where nobody has measured them and they are not measured now."""
    settings, packages = job.config.search.latency, CandidatePackages(job)
    keys = {point.name: packages.key(point) for point in points}
    conditions = [machine_name(), releases(), export_sources()]
    file = job.storage.cache / "latencies" / f"{config_hash(keys, decisions(settings), conditions)}.json"
    if (written := found_json(file, "times are taken again")) is None:
        if not measures:
            return None
        with tempfile.TemporaryDirectory(dir=job.storage.cache) as folder:
            paths = {keys[point.name]: Path(folder) / keys[point.name] for point in points}
            for point in points:
                packages.write(point, paths[keys[point.name]])
            timed = time_packages(paths, keys[reference.name], settings, job.storage.cache / "latency_records")
        written = {key: {name: asdict(one) for name, one in of.items()} for key, of in timed.items()}
        sealed_json(file, written)
    return {name: {runtime: Timing(**one) for runtime, one in written[key].items()} for name, key in keys.items()}


def _measured(timings: Mapping[str, Mapping[str, Timing]], settings: LatencyConfig) -> dict[str, Latency]:
    """Times in the first of the runtimes; of one thread on a disturbed machine the processor's are the better ones."""
    runtime = settings.runtimes[0]
    there = {name: of for name, of in timings.items() if runtime in of}
    by_processor = settings.threads == 1 and any(of[runtime].is_disturbed for of in there.values())
    return {
        name: Latency(
            milliseconds=of[runtime].processor_ms if by_processor else of[runtime].median_ms,
            low=of[runtime].processor_ms - of[runtime].processor_spread_ms if by_processor else of[runtime].lower_ms,
            high=of[runtime].processor_ms + of[runtime].processor_spread_ms if by_processor else of[runtime].upper_ms,
            is_measured=True,
            by_runtime={other: one.processor_ms if by_processor else one.median_ms for other, one in of.items()},
        )
        for name, of in there.items()
    }


def _with_predictions(
    points: Sequence[Point],
    named: Sequence[Point],
    costs: Mapping[str, PointCosts],
    timings: Mapping[str, Mapping[str, Timing]],
    settings: LatencyConfig,
) -> Latencies:
    measured = _measured(timings, settings)
    for point, other in itertools.product(points, named):  # a candidate that has a name of its own is not another one
        if point.name not in measured and other.name in measured and point.settings == other.settings:
            measured[point.name] = measured[other.name]
    known = dict(measured)
    space = [point for point in points if point.name in measured]
    if len(space) < 2:
        return Latencies(of=known)
    features = {point.name: _features(point, costs[point.name]) for point in [*points, *named]}
    model = fit_latency(
        [
            MeasuredPoint(
                features=features[point.name],
                milliseconds=measured[point.name].milliseconds,
                spread_ms=(measured[point.name].high - measured[point.name].low) / 2,
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
