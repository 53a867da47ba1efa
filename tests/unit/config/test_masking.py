"""What is printed or saved goes through one guard, whatever library wrote it."""

from urllib.parse import quote

import pytest

from pipeline.config import login
from pipeline.config.errors import UserError, together
from pipeline.config.login import LOGIN_VARIABLES, take_login
from pipeline.config.masking import masked, masked_error, masked_values


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No login is known yet."""
    monkeypatch.setattr(login, "_known", {})
    for name in LOGIN_VARIABLES:
        monkeypatch.setenv(name, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no server at https://u:p@ss/w'x@h:1/a (refused)", "no server at https://***@h:1/a (refused)"),
        ("'https%3A%2F%2Fu%3Ap%40h'", "'https%3A%2F%2F***@h'"),
        ("x=postgresql+psycopg2://u:p@h/d?sslpassword=p&a=1", "x=postgresql+psycopg2://***@h/d?sslpassword=***&a=1"),
        ("/x?access_token=abc HTTP/1.1", "/x?access_token=*** HTTP/1.1"),
        ("/x?X-Amz-Signature=abc&AccessKey=d&key=e&oauth=f", "/x?X-Amz-Signature=***&AccessKey=***&key=***&oauth=***"),
    ],
)
def test_logins_of_addresses_are_masked_though_nobody_knows_them(text, expected):
    """An argument that is refused was not read yet."""
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("models:/titles@best", "sqlite:////a/b@c.db", "https://h/x y@z", "a@b", "", "C://", "1 ? token 2"),
        *("/x?monkey=1&design=2&author=3&keyboard=4", "hf://datasets/a/b@main/c.jsonl"),
    ],
)
def test_other_texts_stay_as_they_are(text):
    """Names, files, people."""
    assert masked(text) == text


@pytest.mark.parametrize(
    "form", [str, quote, lambda text: quote(text, safe=""), repr], ids=["as", "path", "all", "repr"]
)
@pytest.mark.parametrize("given", ["address", *LOGIN_VARIABLES[1:], "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"])
def test_a_known_secret_is_masked_in_every_form(form, given, monkeypatch):
    """That of an address, and what variables hold whose names say so."""
    secret = "p@/ö 'w0rd"
    if given == "address":
        take_login(f"https://u:{quote(secret, safe='')}@h")
    else:
        monkeypatch.setenv(given, secret)
    assert "w0rd" not in masked(f"a {form(secret)} b") and masked("a b") == "a b"


def test_a_secret_in_a_long_mistake_is_masked_before_it_is_cut():
    """At whatever place the cut would fall."""
    take_login("https://u:pass-w0rd@h")
    for before in range(500, 1000, 3):
        told = masked_error(UserError("a " * (before // 2) + "pass-w0rd" + " b" * 400, "c", "d"))
        assert not any(part in str(told) for part in ("pass-", "w0rd", "ss-w0", "-w0r"))
    several = masked_error(together([UserError("pass-w0rd", "a", "b"), UserError("c", "pass-w0rd", "d")]))
    assert str(several).count("***") == 2 and len(several.errors) == 2


def test_a_password_that_is_a_word_does_not_blot_out_the_word():
    """Its address does without it anyway."""
    take_login("https://student:student@h")
    assert masked("student 8-8-8") == "student 8-8-8"


def test_of_data_all_texts_are_masked_and_nothing_else():
    """Names of entries and numbers are what they were."""
    take_login("https://u:pass-w0rd@h")
    data = {"pass-w0rd": ["a pass-w0rd", 1.5, None, ("https://u:x@h",)]}
    assert masked_values(data) == {"pass-w0rd": ["a ***", 1.5, None, ["https://***@h"]]}
