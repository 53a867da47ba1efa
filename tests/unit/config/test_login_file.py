"""Logins from a file: read where only its owner can, refused without a word of what is in it."""

import os

import pytest

from pipeline.config import login
from pipeline.config.errors import UserError
from pipeline.config.login import ADDRESS_VARIABLE, LOGIN_VARIABLES, with_login
from pipeline.config.login_file import FILE_VARIABLE, _is_private, login_lines, take_environment, write_login_file

LINES = [(LOGIN_VARIABLES[0], "someone"), (LOGIN_VARIABLES[1], "pass=w0rd #1 "), (ADDRESS_VARIABLE, "mysql://a:b@h/d")]


@pytest.fixture
def file(monkeypatch, tmp_path):
    """The path of a login file that the environment names; nothing else of logins is known."""
    monkeypatch.setattr(login, "_known", {})
    for name in (*LOGIN_VARIABLES, ADDRESS_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "login"))
    return tmp_path / "login"


def test_what_is_written_is_known_afterwards(file):
    """Nobody else can read the file meanwhile; it is never written over."""
    write_login_file(file, LINES)
    assert file.stat().st_mode & 0o777 == 0o600
    assert login_lines(file) == LINES
    take_environment()
    assert [os.environ[name] for name, _ in LINES[:2]] == [value for _, value in LINES[:2]]
    assert with_login("mysql://h/d") == "mysql://a:b@h/d" and ADDRESS_VARIABLE not in os.environ
    with pytest.raises(FileExistsError):
        write_login_file(file, [])


def test_a_login_in_the_environment_s_address_is_taken_out_of_it(file, monkeypatch):
    """Of a server, so that no library prints it; no file is needed."""
    monkeypatch.delenv(FILE_VARIABLE)
    monkeypatch.setenv(ADDRESS_VARIABLE, "https://u:p@h")
    take_environment()
    assert os.environ[ADDRESS_VARIABLE] == "https://h" and with_login("https://h") == "https://u:p@h"


def test_a_file_that_others_can_read_is_refused(file):
    """As ssh does it."""
    write_login_file(file, LINES)
    file.chmod(0o640)
    with pytest.raises(UserError, match=r"others can read it.*chmod 600"):
        take_environment()


ME, ROOT_ID, MINE, OTHERS = os.geteuid() + 1, 0, os.getegid(), 10**6


@pytest.mark.parametrize(
    ("mode", "owner", "group", "is_private"),
    [
        (0o600, ME, MINE, True),
        (0o640, ME, MINE, False),  # whoever is in the group
        (0o440, ROOT_ID, MINE, True),  # a Secret of Kubernetes
        (0o440, ROOT_ID, OTHERS, False),
        (0o460, ROOT_ID, MINE, False),
        (0o444, ROOT_ID, MINE, False),
    ],
)
def test_a_mounted_secret_is_private(mode, owner, group, is_private, monkeypatch):
    """Root's, readable by the group of this process alone; a file of one's own is nobody else's."""
    monkeypatch.setattr(os, "geteuid", lambda: ME)
    assert _is_private(os.stat_result((mode, 0, 0, 1, owner, group, 0, 0, 0, 0))) is is_private


@pytest.mark.parametrize("content", [b"w0rd", b"PATH=w0rd", b"\xffw0rd", b"# a\n\nexport X=w0rd", None])
def test_a_bad_file_is_refused_and_not_repeated(file, content):
    """A line may be a password."""
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o600)
    with pytest.raises(UserError, match=r"login: .*lines NAME=value") as error:
        take_environment()
    assert "w0rd" not in str(error.value)


def test_a_value_of_two_lines_is_refused(file):
    """It would be read as another line."""
    with pytest.raises(UserError, match=f"{LOGIN_VARIABLES[1]} of several lines"):
        write_login_file(file, [(LOGIN_VARIABLES[1], "a\nb")])
    assert not file.exists()
