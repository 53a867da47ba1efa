"""What a search says of its answer: its document, and tables for the console."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.sections.search import SearchConfig
from pipeline.search.cover import w_coefficient
from pipeline.search.front import front
from pipeline.stages.search.answer import MIB, Answer, best_rate, error_curve
from pipeline.stages.search.plan import SearchPlan


def plan_table(plan: SearchPlan) -> list[list[str]]:
    """Header and a line a candidate: what it costs, and whether it is tried."""
    lines = [["candidate", "parameters", "operations", "MiB on disk", "ms", "in the cover"]]
    for candidate in plan.candidates:
        name = candidate.architecture.name
        lines.append([name, *_cost_cells(plan, name), "yes" if name in plan.cover else "-"])
    return lines


def answer_table(plan: SearchPlan, answer: Answer, search: SearchConfig) -> list[list[str]]:
    """Header and a line a candidate that was tried, the answer first."""
    step = search.steps[-1]
    lines = [["candidate", "parameters", "operations", "MiB on disk", "ms", f"error after {step}", "W", "note"]]
    on_front = set(front_names(plan, step))
    for name in answer.ranking:
        error = error_of(plan, name, step)
        assert error is not None
        notes = ["answer" if name == answer.best else "", "front" if name in on_front else ""]
        w = f"{w_of(plan, name, error):.4g}"
        lines.append([name, *_cost_cells(plan, name), f"{error:.4f}", w, ", ".join(filter(None, notes))])
    if answer.optimum is not None and answer.optimum.name not in answer.ranking:
        name = answer.optimum.name
        cells = [f"{answer.optimum.error:.4f}", f"{answer.optimum.w:.4g}", "optimum, outside of the cover"]
        lines.append([name, *_cost_cells(plan, name), *cells])
    return lines


def _cost_cells(plan: SearchPlan, name: str) -> list[str]:
    values, latency = plan.values(name), plan.latencies.of.get(name)
    ms = "-" if latency is None else f"{'' if latency.is_measured else '~'}{latency.milliseconds:.2f}"
    return [
        f"{values['parameters']:,.0f}",
        f"{values['operations']:,.0f}",
        f"{values['size_bytes'] / MIB:.3f}",
        ms,
    ]


def error_of(plan: SearchPlan, name: str, step: int) -> float | None:
    """The error of a point after a step; none where nobody has looked."""
    return error_curve(plan.trials_of([name]), [step]).get(step)


def w_of(plan: SearchPlan, name: str, error: float) -> float:
    """W of a point with an error."""
    cost = next(one.cost for one in plan.candidates if one.architecture.name == name)
    return w_coefficient(cost, plan.maximum, error)


def front_names(plan: SearchPlan, step: int) -> list[str]:
    """The points that were tried and that no other beats in bytes, milliseconds and error, cheapest first.

    One that diverged is none of them, however small; milliseconds count where all have them.
    """
    errors = {one.architecture.name: error_of(plan, one.architecture.name, step) for one in plan.candidates}
    known = {name: error for name, error in errors.items() if error is not None and math.isfinite(error)}
    costs = ["size_bytes"]
    if all(plan.latencies.milliseconds(name) is not None for name in known):
        costs.append("latency_ms")
    rows = [[*(plan.values(name)[cost] for cost in costs), error] for name, error in known.items()]
    return [list(known)[index] for index in front(rows)]


def document_of(plan: SearchPlan, answer: Answer, config: OseSearchJob) -> dict[str, Any]:
    """What the job prints of its answer."""
    step, guarantee = config.search.steps[-1], answer.result.guarantee
    chosen = answer.chosen(config.search.num_chosen)
    return {
        "search": plan.name,
        "candidates": len(plan.candidates),
        "points": len(plan.points),
        "tried": len(answer.ranking),
        "best": described(plan, answer.best, step),
        "chosen": [described(plan, name, step) for name in chosen],
        "bound": {
            "published": guarantee.published_bound,
            "upper_bound": guarantee.upper_bound,
            "at_most_lost": guarantee.at_most_lost,
            "rise": guarantee.rise,
            "words": guarantee.words,
            "assumptions": [{**asdict(one), "standing": str(one.standing)} for one in guarantee.assumptions],
        },
        "brute_force": None if answer.optimum is None else asdict(answer.optimum),
        "front": [described(plan, name, step) for name in front_names(plan, step)],
        "named": {point.name: plan.values(point.name) for point in plan.named},
        "latency_model": latency_model_of(plan),
    }


def latency_model_of(plan: SearchPlan) -> dict[str, Any] | None:
    """What times were fitted by, and how well; none where nothing was fitted."""
    model = plan.latencies.model
    if model is None:
        return None
    return {
        "num_measured": len(model.errors),
        "median_error": model.median_error,
        "max_error": model.max_error,
        "coefficients": dict(model.coefficients),
        "left_out": dict(model.left_out),
    }


def described(plan: SearchPlan, name: str, step: int) -> dict[str, Any]:
    """A point in the document."""
    point = next(one for one in plan.points if one.name == name)
    values, error, latency = plan.values(name), error_of(plan, name, step), plan.latencies.of.get(name)
    return {
        "name": name,
        "architecture": point.settings,
        "bytes": int(values["size_bytes"]),
        "parameters": int(values["parameters"]),
        "operations": int(values["operations"]),
        "ms": None if latency is None else latency.milliseconds,
        "ms_interval": None if latency is None else [latency.low, latency.high],
        "ms_is_measured": latency is not None and latency.is_measured,
        "ms_by_runtime": {} if latency is None else dict(latency.by_runtime),
        "ms_model_error": plan.latencies.errors.get(name),
        "error": error,
        "learning_rate": best_rate(plan.trials_of([name]), step),
        "W": None if error is None else w_of(plan, name, error),
    }
