"""What a search for bits says of its answer: its document, its tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.build import to_dict
from pipeline.console.tables import markdown_table
from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.stages.search.bit_assignments import MIB, Assigned, BitAssignments


def bit_document(name: str, assignments: BitAssignments, budget: int) -> tuple[Assigned, dict[str, Any]]:
    """The answer, and what the job prints of it.

    Args:
        name: of the search.
        assignments: of its student.
        budget: bytes of the packed weights.

    Raises:
        UserError: a budget that even the fewest bits exceed.
    """

    def described(one: Assigned) -> dict[str, Any]:
        student = to_dict(one.student)
        return {"name": one.student.name, "architecture": student, "bytes": one.size_bytes, "error": one.loss}

    best, choices = assignments.best(budget), assignments.choices
    return best, {
        "search": name,
        "candidates": len(choices),
        "options": sum(len(choice.options) for choice in choices),
        "error_before": assignments.loss_before,
        "best": {**described(best), "ms": None, "W": None},
        "bound": {"gap": best.gap, "words": "errors of modules are taken to add up; each was measured alone"},
        "brute_force": None,
        "front": [described(one) for one in assignments.front()],
        "uniform": assignments.best_uniform(budget),
    }


def bit_table(document: dict[str, Any]) -> list[list[str]]:
    """Header, then the front, the answer and the best of uniform bits."""
    lines = [["bits", "MiB on disk", "expected loss", "note"]]
    for one in document["front"]:
        lines.append([one["name"], f"{one['bytes'] / MIB:.3f}", f"{one['error']:.4f}", ""])
    best, uniform = document["best"], document["uniform"]
    lines.append([best["name"], f"{best['bytes'] / MIB:.3f}", f"{best['error']:.4f}", "answer"])
    if uniform is not None:
        cells = [uniform["scheme"], f"{uniform['bytes'] / MIB:.3f}", f"{uniform['error']:.4f}"]
        lines.append([*cells, "best of uniform bits within the limit"])
    return lines


def write_bit_report(folder: Path, found: Sequence[Sensitivity], best: Assigned, document: dict[str, Any]) -> Path:
    """`results.md`, and `sensitivities.csv`: a line a group of modules, by how much the loss rises at which bits."""
    folder.mkdir(parents=True, exist_ok=True)
    bits = sorted(found[0].losses)
    with (folder / "sensitivities.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["modules", *(f"{count:g} bits" for count in bits)])
        writer.writerows([[" ".join(one.modules), *(one.rises[count] for count in bits)] for one in found])
    rises = [["modules", *(f"{count:g} bits" for count in bits)]]
    rises += [[one.modules[0], *(f"{one.rises[count]:+.4f}" for count in bits)] for one in found]
    entries = "\n".join(f"- `{entry}`" for entry in best.student.recipe["quantization"]["bits"]) or "- none"
    text = (
        f"# {document['search']}: bits module by module\n\n{markdown_table(bit_table(document))}\n\n"
        f"Loss before: {document['error_before']:.4f}. {document['bound']['words'].capitalize()}.\n\n"
        f"Bits of the answer beside its scheme {best.student.scheme}:\n\n{entries}\n\n"
        f"By how much the loss rises:\n\n{markdown_table(rises)}\n"
    )
    (folder / "results.md").write_text(text, encoding="utf-8")
    return folder
