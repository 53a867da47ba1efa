"""Whether there is a table."""

from pathlib import Path

import pytest

from pipeline.config.errors import UserError
from pipeline.search.table_file import read_tables
from pipeline.search.table_path import check_is_table


@pytest.mark.parametrize("check", [check_is_table, read_tables])
def test_a_file_that_is_not_there_is_said(check, tmp_path):
    """Before anything heavy is imported, and when it is read; nor is a folder a table, nor nothing."""
    for path, message in (
        (tmp_path / "nowhere.jsonl", "is not there"),
        (tmp_path, "is a folder"),
        (Path(), "no table"),
    ):
        with pytest.raises(UserError, match=message):
            check(path)


def test_a_file_may_be_a_table(tmp_path):
    """What is in it is not looked at."""
    (tmp_path / "table.jsonl").touch()
    check_is_table(tmp_path / "table.jsonl")
    assert (tmp_path / "table.jsonl").read_text() == ""
