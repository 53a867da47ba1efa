"""A disk that takes no more is named as that, whichever library met it."""

import errno
import sqlite3
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, text

from pipeline.config.errors import UserError
from pipeline.storage.disk import disk_trouble, is_of_files


def caught(call):
    with pytest.raises(Exception) as error:
        call()
    return error.value


def full_database():
    """A real error of SQLite, as SQLAlchemy and MLflow wrap it."""
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 2"))
        connection.execute(text("CREATE TABLE t (x)"))
        try:
            connection.execute(text(f"INSERT INTO t VALUES ('{'x' * 9000}')"))
        except Exception as error:
            raise MlflowException(message=error, error_code=2) from error


def unwritable_database():
    """A real error of SQLite about a database that may be read only."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA query_only = 1")
        connection.execute("INSERT INTO t VALUES (1)")


def broken_database():
    """As SQLite says that the system did not write; made by hand, with the name that it gives it."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_WRITE"
    return error


def wrapped(error):
    """As Ray Train wraps what a worker raised."""
    outer = RuntimeError("a worker failed")
    outer._base_exc = error
    return outer


FULL = {
    "a write": lambda: caught(lambda: Path("/dev/full").write_text("x")),
    "a database": lambda: caught(full_database),
    "a database that is read only": lambda: caught(unwritable_database),
    "a database whose disk is broken": broken_database,
    "a quota": lambda: OSError(errno.EDQUOT, "quota", "/shared/x"),
    "safetensors": lambda: Exception("Error while serializing: IoError(No space left on device (os error 28))"),
    "torch": lambda: RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    "a worker": lambda: wrapped(OSError(errno.ENOSPC, "full", "/shared/x")),
}
OTHERS = {
    "a connection": ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    "a lost lock": sqlite3.OperationalError("database is locked"),
    "what was said": UserError("No space left on device", "x", "y"),
    "a server's disk": MlflowException("database or disk is full"),
    "another": ValueError("x"),
}


@pytest.mark.parametrize("name", FULL)
def test_a_disk_that_takes_no_more_is_named(name):
    """With its file where the error says it, and with what can be done."""
    told = disk_trouble(FULL[name]())
    assert told is not None and told.given.startswith("the disk ") and "storage.path" in told.change
    assert ("/shared/x" in told.given) == (name in ("a quota", "a worker"))


@pytest.mark.parametrize("name", OTHERS)
def test_other_errors_are_not_the_disk_s(name):
    """Least of all that of a server that is away, or whose own disk is full: it is waited for."""
    assert disk_trouble(OTHERS[name]) is None and not is_of_files(OTHERS[name])


def test_an_error_that_was_handled_before_is_not_the_reason():
    """Only what led to an error counts."""

    def unrelated():
        try:
            Path("/dev/full").write_text("x")
        except OSError:
            raise ValueError("x") from None

    assert disk_trouble(caught(unrelated)) is None
    assert is_of_files(caught(lambda: Path("/no/such").write_text("x")))
