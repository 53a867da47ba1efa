"""Text files as people and programs write them: UTF-8, with or without a byte order mark, packed by gzip or not."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from pipeline.config.errors import UserError

GZIP = ".gz"
LINE_END = re.compile(rb"\r\n|\r|\n")  # what editors count


@contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text file to be read while the block runs; what goes wrong in reading it is the user's to mend.

    Args:
        path: the file; one that ends in .gz is unpacked on the way.
        newline: as `open` takes it.

    Raises:
        UserError: the file cannot be opened or unpacked, or is no UTF-8.
    """
    try:
        with _opened(path) as file:
            try:
                yield io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)
            except UnicodeDecodeError:
                raise UserError(
                    f"data file {path}: line {_undecodable_line(path)} is not UTF-8",
                    "text in UTF-8",
                    "save the file as UTF-8, e.g. iconv -f LATIN1 -t UTF-8",
                ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"data file {path} cannot be read: {reason}", "a whole, readable file", "mend it") from error


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix.lower() == GZIP else path.open("rb"))


def _undecodable_line(path: Path) -> int:
    """The first line that is not UTF-8."""
    number = 1
    with _opened(path) as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number + len(LINE_END.findall(line[: error.start]))
            number += len(LINE_END.findall(line))
    return number
