"""What two runs were told and what they cost, side by side: settings, sizes, times."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from pathlib import PurePosixPath

from pipeline.report.results import MIB
from pipeline.tracking.tracker import FoundRun

Measures = dict[str, float]
Settings = dict[str, tuple[str | None, str | None]]  # name -> values of both; none where a run does not have it

# Where things lie says nothing about a run.
PLACES = ("storage.", "tracking.uri", "data.root", "task.corpus.files.")
CHARACTERS, CHARACTERS_BEFORE = 40, 10  # of a long value: what is shown, and how much of it is equal in both


def _ratio(value: float) -> str:
    return f"{value:.2f}x"


# Metric of a student's run -> title, and how it is written.
MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "size_bytes": ("MiB on disk", lambda value: f"{value / MIB:.3f}"),
    "size_ratio": ("smaller", _ratio),
    "paper_ratio": ("paper ratio", _ratio),
    "latency_p50_ms": ("p50 ms", lambda value: f"{value:.1f}"),
    "speed_ratio": ("faster", _ratio),
    "tokens_per_second": ("tokens/s in a batch", lambda value: f"{value:.1f}"),
    "throughput_ratio": ("faster in a batch", _ratio),
    "onnx_size_ratio": ("smaller, ONNX", _ratio),
    "onnx_speed_ratio": ("faster, ONNX", _ratio),
}
MACHINE = {"dq.host_cpu": "processor", "dq.host_cpus": "cores"}


def setting_differences(first: FoundRun, second: FoundRun) -> Settings:
    """The settings that two runs do not share, by name.

    A folder counts by its own name, because local models are kept in folders that are named by their content. What
    only students have is left out where just one of the two is a student's.
    """
    kinds_differ = first.tags.get("dq.kind") != second.tags.get("dq.kind")
    unrelated = (*PLACES, "student.") if kinds_differ else PLACES
    names = sorted({*first.params, *second.params})
    pairs = {name: (_value(first, name), _value(second, name)) for name in names if not name.startswith(unrelated)}
    return {name: values for name, values in pairs.items() if values[0] != values[1]}


def _value(found: FoundRun, name: str) -> str | None:
    value = found.params.get(name)
    return PurePosixPath(value).name if value is not None and value.startswith("/") else value


def setting_lines(settings: Settings, titles: tuple[str, str]) -> list[list[str]]:
    """The differences as a table; of long values the part where they differ."""
    return [["setting", *titles], *([name, *_shown(values)] for name, values in settings.items())]


def _shown(values: tuple[str | None, str | None]) -> list[str]:
    whole = ["-" if value is None else " ".join(value.split()) or "''" for value in values]
    if max(map(len, whole)) <= CHARACTERS:
        return whole
    num_equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*whole, strict=False)))
    start = max(0, num_equal - CHARACTERS_BEFORE)
    cut = [f"{'…' if start else ''}{value[start : start + CHARACTERS]}" for value in whole]
    return [text + ("…" if len(value) > start + CHARACTERS else "") for text, value in zip(cut, whole, strict=True)]


def measured_in(found: FoundRun, other: FoundRun) -> FoundRun:
    """The run that holds a run's size and times: a teacher's are taken beside those of its students."""
    return other if other.tags.get("dq.teacher_run") == found.run_id else found


def measures(found: FoundRun, other: FoundRun) -> Measures:
    """Size and times of a run, as far as it has them.

    Args:
        found: the run.
        other: the run beside it; if that is a student of this one, it knows its teacher's.
    """
    holder = measured_in(found, other)
    known = holder.metrics if holder is found else _of_teacher(holder.metrics)
    return {name: known[name] for name in MEASURES if name in known}


def _of_teacher(student: dict[str, float]) -> Measures:
    known = {name: 1.0 for name in MEASURES if name.endswith("_ratio") and name in student}
    known |= {name: student[f"teacher_{name}"] for name in MEASURES if f"teacher_{name}" in student}
    if "size_ratio" in student:
        known["size_bytes"] = float(round(student["size_bytes"] * student["size_ratio"]))
    return known


def written(measured: Measures, name: str) -> str:
    """One measure as text."""
    return MEASURES[name][1](measured[name]) if name in measured else "-"


def measure_lines(first: Measures, second: Measures, titles: tuple[str, str]) -> list[list[str]]:
    """Size and times as a table with the second's part of the first; what neither has is left out."""
    lines = [["size and speed", *titles, "second/first"]]
    for name, (title, _) in MEASURES.items():
        if name in first or name in second:
            both = name in first and name in second and first[name]
            ratio = f"{second[name] / first[name]:.3f}" if both else "-"
            lines.append([title, written(first, name), written(second, name), ratio])
    return lines


def other_machine(first: FoundRun, second: FoundRun) -> str:
    """A sentence where the times of two runs were taken on different machines; empty if not, or without times."""
    holders = [measured_in(first, second), measured_in(second, first)]
    if any("latency_p50_ms" not in holder.metrics for holder in holders):
        return ""
    facts = [(what, [holder.tags.get(tag, "unknown") for holder in holders]) for tag, what in MACHINE.items()]
    facts.append(("threads", [f"{holder.metrics.get('latency_threads', 0):.0f}" for holder in holders]))
    differing = ", ".join(f"{what} {values[0]} and {values[1]}" for what, values in facts if values[0] != values[1])
    if not differing:
        return ""
    return (
        f"times were taken on different machines ({differing}): milliseconds and tokens per second cannot be compared, "
        "ratios to each student's own teacher can"
    )
