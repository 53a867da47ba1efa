"""What a finished search has chosen, for those who train it: one file in the storage folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.build import build, nearest
from pipeline.config.errors import UserError
from pipeline.config.sections.sweep import StudentConfig
from pipeline.stages.document import strict
from pipeline.storage.layout import Storage
from pipeline.storage.sealed import DamagedFileError
from pipeline.storage.sealed_json import read_sealed_json, sealed_json

FILE, FORMAT = "search.json", "dq-search/1"


@dataclass(frozen=True, kw_only=True)
class FinishedSearch:
    """A search that has an answer.

    Args:
        name: what it is called.
        kind: of its points.
        data: fingerprint of the examples that it was made on.
        task: name of the task.
        recipe: key of the recipe that candidates were trained with.
        students: settings of the students that were chosen, the answer first; none of the kind models.
        document: what the job has printed of the answer.
    """

    name: str
    kind: str
    data: str
    task: str
    recipe: str
    students: list[dict[str, Any]]
    document: dict[str, Any]


def write_finished(folder: Path, search: FinishedSearch) -> None:
    """Write a search down in its folder; an earlier one of the same name is replaced."""
    sealed_json(folder / FILE, strict({"format": FORMAT, **asdict(search)}))


def read_finished(storage: Storage, name: str) -> FinishedSearch:
    """The finished search of a name.

    Raises:
        UserError: there is none, or its file is damaged or none that this version reads.
    """
    file = storage.search(name) / FILE
    there = sorted(path.parent.name for path in storage.search("x").parent.glob(f"*/{FILE}"))
    if name not in there:
        like = f"did you mean '{nearest(name, there)}'? Else " if there else ""
        raise UserError(
            f"sweep.search={name}: there is no finished search of that name in {storage.root}",
            ", ".join(there) or "the name of a search that has ended",
            f"{like}submit jobs/ose_search.py search.name={name} first, or set storage.path",
        )
    try:
        written = read_sealed_json(file)
        if written.pop("format") != FORMAT:
            raise ValueError("another format")
        return FinishedSearch(**written)
    except DamagedFileError as damage:
        expected = f"a file of the format {FORMAT}, {damage.expected}"
        raise DamagedFileError(damage.file, expected, damage.found, "submit the search again") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: {error}", f"a file of the format {FORMAT}", "submit the search again") from None


def chosen_students(search: FinishedSearch) -> list[StudentConfig]:
    """The students that a search has chosen.

    Raises:
        UserError: it was not about students, or its settings are none of this version.
    """
    if not search.students:
        raise UserError(
            f"sweep.search={search.name}, a search of the kind {search.kind}",
            "one of the kind students or mixed_bits; models from scratch are no students of a teacher",
            "train its answer with jobs/finetune_teacher.py model.architecture={...}, or search students",
        )
    return [build(StudentConfig, student, f"search '{search.name}'") for student in search.students]
