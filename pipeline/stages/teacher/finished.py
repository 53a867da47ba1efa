"""A teacher's folder: what lies in it, whether it is finished and whole.

model/          the best model so far, sealed
best.json       how good that was
result.json     there when all is done
checkpoints/    gone when all is done
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.sealed import DamagedFileError, check_folder, put_aside
from pipeline.storage.sealed_json import read_sealed_json

RESULT, MODEL, BEST, CHECKPOINTS = "result.json", "model", "best.json", "checkpoints"


@dataclass(frozen=True, kw_only=True)
class TeacherResult:
    """A fine-tuned teacher: where it lies, how big its fp32 weights are on disk, how good it is."""

    key: str
    folder: str
    size_bytes: int
    validation: dict[str, float]
    scores: dict[str, float]
    run_id: str | None

    @classmethod
    def read(cls, folder: Path) -> TeacherResult | None:
        """What is written in a teacher's folder, its model whole; nothing where it is not finished.

        Raises:
            DamagedFileError: result or model are not what was written.
        """
        file = folder / RESULT
        try:
            result = cls(**read_sealed_json(file))
        except FileNotFoundError:
            return None
        except TypeError as error:
            raise DamagedFileError(file, "the result of a teacher", str(error)) from None
        if not (folder / MODEL).is_dir():
            raise DamagedFileError(folder / MODEL, "the finished teacher", "no such folder")
        check_folder(folder / MODEL)
        return result


def is_finished(folder: Path) -> bool:
    """Whether a teacher lies finished and whole in its folder."""
    try:
        return TeacherResult.read(folder) is not None
    except DamagedFileError:
        return False


def result_of(folder: Path) -> TeacherResult:
    """The result of a finished teacher.

    Raises:
        DamagedFileError: it is not what was written.
    """
    result = TeacherResult.read(folder)
    assert result is not None, "it is finished"
    return result


def is_left_whole(folder: Path) -> bool:
    """Whether a teacher is finished and whole; of one that is damaged, or whose best model is, nothing is used.

    Without its checkpoints training starts afresh, because epochs before them would be missing among those compared.
    They go first and the result last: whenever this is killed, nothing damaged is left, or it is found again.
    """
    try:
        if TeacherResult.read(folder) is not None:
            return True
        if (folder / BEST).is_file():
            read_sealed_json(folder / BEST)
            if not (folder / MODEL).is_dir():
                raise DamagedFileError(folder / MODEL, "the best model so far", "no such folder")
            check_folder(folder / MODEL)
    except DamagedFileError as damage:
        *others, last = [path for name in (CHECKPOINTS, BEST, MODEL, RESULT) if (path := folder / name).exists()]
        put_aside(damage, last, f"teacher {folder.name} is trained again from its beginning", also=others)
    return False
