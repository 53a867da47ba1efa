"""`infra/docker/with_secrets.sh`: secrets from files into a command's environment, or a sentence."""

import subprocess

import pytest
from repository import ROOT

SCRIPT = ROOT / "infra" / "docker" / "with_secrets.sh"


def run(*words, cwd=None):
    return subprocess.run(["sh", str(SCRIPT), *words], capture_output=True, text=True, cwd=cwd)


def test_a_command_has_them_and_its_command_line_does_not(tmp_path):
    """Whatever is in a file; the command's exit code is the script's, and its words are not looked at."""
    secret = "kan4ri $(echo x) 'ö' \"=--"
    (tmp_path / "one").write_text(secret + "\n")
    (tmp_path / "two").write_text("2")
    shell = 'printf "%s|%s|%s" "$ONE" "$TWO" "$1"; tr "\\0" " " < /proc/self/cmdline; exit 7'
    done = run("ONE=one", "TWO=two", "--", "sh", "-c", shell, "sh", "A=b", cwd=tmp_path)
    assert done.returncode == 7 and done.stdout.startswith(f"{secret}|2|A=b")
    assert "kan4ri" not in done.stdout.removeprefix(secret) and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ONE=missing", "--", "echo", "it runs"], "missing, for ONE, is empty or cannot be read"),
        (["ONE=empty", "--", "echo", "it runs"], "empty, for ONE, is empty or cannot be read"),
        (["ONE=", "--", "echo", "it runs"], "'ONE' is no NAME=FILE"),
        (["one=file", "--", "echo", "it runs"], "'one' is no NAME=FILE"),
        (["ONE=file", "echo", "it runs"], "'echo' is no NAME=FILE"),
        (["ONE=file", "--"], "no command"),
        ([], "no command"),
    ],
)
def test_what_cannot_be_read_or_understood_is_refused(words, message, tmp_path):
    """Exit code 2 and one line, and the command is not run: a server with an empty password would be."""
    (tmp_path / "file").write_text("kan4ri")
    (tmp_path / "empty").touch()
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and "Allowed: " in done.stderr and "Change: " in done.stderr
    assert done.stderr.count("\n") == 1 and "kan4ri" not in done.stderr and done.stdout == ""
