"""`infra/docker/make_secrets.py`: secrets that agree with each other, for their owner, made once."""

import configparser
import json
import os
import stat

import pytest
from infra_scripts import script

from pipeline.config.login_file import login_lines

MAKE = script("docker/make_secrets.py")


@pytest.fixture
def folder(tmp_path):
    """A new folder of secrets."""
    assert MAKE.main([str(tmp_path / "secrets")]) == 0
    return tmp_path / "secrets"


def test_nobody_else_gets_into_the_folder(folder):
    """In which containers' users can read the files, as a mounted file keeps its mode; nobody can write them."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}


def test_neither_a_wide_nor_a_narrow_umask_changes_that(tmp_path):
    """A folder that others may enter, or a file that a container cannot read, would be."""
    for number, umask in enumerate((0, 0o077)):
        before = os.umask(umask)
        try:
            MAKE.write(tmp_path / str(number))
        finally:
            os.umask(before)
        test_nobody_else_gets_into_the_folder(tmp_path / str(number))


def test_what_belongs_together_agrees(folder, tmp_path):
    """The store knows the key that MLflow has, for one bucket alone; a job's login is the administrator's."""
    credentials = configparser.ConfigParser()
    credentials.read(folder / "objects_credentials")
    identity = json.loads((folder / "objects_identities").read_text())["identities"][0]
    assert identity["credentials"] == [
        {
            "accessKey": credentials["default"]["aws_access_key_id"],
            "secretKey": credentials["default"]["aws_secret_access_key"],
        }
    ]
    assert all(action.endswith(":mlflow") for action in identity["actions"])
    (tmp_path / "login").write_text((folder / "mlflow_login").read_text())
    (tmp_path / "login").chmod(0o600)
    password = (folder / "mlflow_admin_password").read_text()
    assert login_lines(tmp_path / "login") == [
        ("MLFLOW_TRACKING_USERNAME", "admin"),
        ("MLFLOW_TRACKING_PASSWORD", password),
    ]


def test_secrets_are_long_and_never_the_same():
    """Two calls share none but what names something."""
    first, second = MAKE.contents(), MAKE.contents()
    assert first.keys() == second.keys() and not set(first.values()) & set(second.values())
    assert all(len(text) >= 32 for text in first.values())


def test_nothing_is_overwritten(folder, capsys):
    """One paragraph, exit code 2; the secrets are printed neither then nor before."""
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert MAKE.main([str(folder)]) == 2
    said = "".join(capsys.readouterr())
    assert "Allowed: a folder that is not there yet" in said and "Change: " in said
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert not [text for text in before.values() if text in said]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--help"]])
def test_nonsense_is_answered_with_the_usage(arguments, capsys, tmp_path, monkeypatch):
    """Exit code 2, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    assert MAKE.main(arguments) == 2
    assert "make_secrets.py infra/secrets" in capsys.readouterr().err and not [*tmp_path.iterdir()]
