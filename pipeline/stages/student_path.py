"""A student's folder or file, as a person names it."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.storage.layout import personal_path

WAYS = (
    "a run id or run name, name@alias or name/version of a registered model, models:/... or runs:/..., a folder with a "
    "packed or an exported model, or the .zip of an exported one"
)
SHOWN = 80  # letters of a name in a message


def student_path(given: str) -> Path | None:
    """The folder or file that is meant; none for what only MLflow can know.

    Raises:
        UserError: no name, or a path to nothing.
    """
    if not given.strip():
        raise UserError("no model", WAYS, "write model=...")
    path = personal_path(given)
    try:
        if path.is_dir() or path.is_file():
            return path
    except OSError as error:  # longer than any name, as a text in the place of the model, or not to be looked at
        raise UserError(
            f"model={given[:SHOWN]}: {error.strerror}", WAYS, "name a folder that is there, or a run"
        ) from None
    no_name = given.encode(errors="replace").decode() != given  # a path may hold any bytes, a run's name may not
    if path.is_absolute() or given.startswith((".", "~")) or given.endswith(".zip") or no_name:
        raise UserError(f"{given} does not exist", WAYS, "name a folder that is there, or a run")
    return None
