"""What a search for bits says of its answer: its document, its tables."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline import WRITTEN_BY
from pipeline.config.build import to_dict
from pipeline.config.jobs.ose_search import OseSearchJob
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table
from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.report.bits_page import write_bits_report
from pipeline.report.bits_results import BitsPoint, BitsResults, ModuleBits
from pipeline.search.mixed_bits import BitChoice
from pipeline.stages.environment import environment_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.search.bit_assignments import MIB, Assigned, BitAssignments
from pipeline.tracking.lineage import lineage


def bits_results(
    job: OpenedJob[OseSearchJob],
    assignments: BitAssignments,
    best: Assigned,
    document: dict[str, Any],
    run_id: str,
) -> BitsResults:
    """What the page shows.

    Args:
        job: the job.
        assignments: of its student.
        best: the answer.
        document: what is printed of it.
        run_id: of the search.
    """
    config, mixed, uniform = job.config, job.config.search.mixed, document["uniform"]
    facts = {
        "search": document["search"],
        "task": config.task.name,
        "model": config.model.name,
        "recipe": config.recipe.name,
        "experiment": config.experiment or "",
        "data": job.task.fingerprint,
        "student": mixed.depth,
        "bits offered": ", ".join(f"{count:g}" for count in mixed.bits),
        "step": str(config.search.steps[-1]),
        "learns from": "references and teacher" if config.search.distil else "references alone",
        "run": run_id,
        "git commit": lineage().get("mlflow.source.git.commit", "unknown"),
        "written by": WRITTEN_BY,
        "written": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
    }
    return BitsResults(
        title=f"{config.task.name}: {document['search']}, a search for bits module by module",
        front=[BitsPoint(name=one["name"], size_bytes=one["bytes"], loss=one["error"]) for one in document["front"]],
        answer=BitsPoint(name=best.student.name, size_bytes=best.size_bytes, loss=best.loss),
        uniform=uniform and BitsPoint(name=uniform["scheme"], size_bytes=uniform["bytes"], loss=uniform["error"]),
        budget_bytes=round(mixed.max_mib * MIB),
        loss_before=assignments.loss_before,
        words=document["bound"]["words"],
        modules=[_module_bits(choice, best.bits[choice.name]) for choice in assignments.choices],
        facts={name: text for name, text in facts.items() if text},
        environment=environment_of(config.cluster),
        config=to_yaml(config),
    )


def _module_bits(choice: BitChoice, bits: float) -> ModuleBits:
    (num_bytes,) = (option.num_bytes for option in choice.options if option.bits == bits)
    rises = {option.bits: option.loss for option in choice.options}
    return ModuleBits(modules=choice.modules, bits=bits, num_bytes=num_bytes, rises=rises)


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


def write_bit_report(
    folder: Path, found: Sequence[Sensitivity], best: Assigned, document: dict[str, Any], results: BitsResults
) -> Path:
    """The page with its picture, `results.md`, and `sensitivities.csv`: rises of the loss, a line a group."""
    write_bits_report(results, folder)
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
