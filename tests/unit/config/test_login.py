"""Logins of addresses: taken off wherever they stand, kept whole for who opens the store, shown to nobody."""

import os
import pickle

import hypothesis
import pytest
from hypothesis import strategies

from pipeline.config import login
from pipeline.config.address import joined, quoted, split
from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config, to_public_dict, to_yaml
from pipeline.config.login import (
    ADDRESS_VARIABLE,
    LOGIN_VARIABLES,
    hand_over,
    known_secrets,
    login_environment,
    receive,
    shown,
    take_login,
    with_login,
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No login is known yet."""
    monkeypatch.setattr(login, "_known", {})
    for name in (*LOGIN_VARIABLES, ADDRESS_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


# Address -> without its login, as a store gets it.
WITH_LOGIN = {
    "https://u:p@h": ("https://h", "https://u:p@h"),
    "HTTPS://u:p@h:5000/base": ("HTTPS://h:5000/base", "HTTPS://u:p@h:5000/base"),
    "https://u:p%40%2F@[::1]:5000/x": ("https://[::1]:5000/x", "https://u:p%40%2F@[::1]:5000/x"),
    "https://u:p@/w@h": ("https://h", "https://u:p%40%2Fw@h"),
    "https://u:p/w@h": ("https://h", "https://u:p%2Fw@h"),
    "https://u:p?w#x@h": ("https://h", "https://u:p%3Fw%23x@h"),
    "https://u:a:b@h": ("https://h", "https://u:a%3Ab@h"),
    "mysql://token@h/d": ("mysql://h/d", "mysql://token@h/d"),
    "https://h/x?token=abc&a=1": ("https://h/x?a=1", "https://h/x?a=1&token=abc"),
    "https://h?password=a%40b": ("https://h", "https://h?password=a%40b"),
    "postgresql+psycopg2://u:p%25@h:5432/db?x=a@b": (
        "postgresql+psycopg2://h:5432/db?x=a@b",
        "postgresql+psycopg2://u:p%25@h:5432/db?x=a@b",
    ),
    "postgresql://u:p@/db": ("postgresql:///db", "postgresql://u:p@/db"),
    "postgresql://h/db?user=u&sslpassword=p#f": (
        "postgresql://h/db?user=u#f",
        "postgresql://h/db?user=u&sslpassword=p#f",
    ),
    "mysql://u:p@h:1,i:2/db": ("mysql://h:1,i:2/db", "mysql://u:p@h:1,i:2/db"),
    "mssql+pyodbc:///?odbc_connect=UID%3Du": ("mssql+pyodbc:///", "mssql+pyodbc:///?odbc_connect=UID%3Du"),
}
WITHOUT = [
    "",
    "sqlite:///runs/mlflow.db",
    "sqlite:////a/b@c:d@e.db",
    "http://h:5000",
    "https://h/a@b",
    "databricks",
    "runs",
]
WITHOUT += ["http://[::1]:5000/x?a=b@c", "postgresql://h/db?application_name=a@b", "file:///x@y"]
UNCLEAR = ["https://u:p@ss/w@h", "http://h:5000/a@b", "https://u:1/w@h", "https://u:p@/w@", "postgresql://u:p@h/x@y"]


@pytest.mark.parametrize("address", WITH_LOGIN)
def test_a_login_leaves_the_address_and_comes_back_for_the_store(address):
    """Whatever the scheme; signs that should be encoded may stand as they are where it is clear what they are."""
    plain, whole = WITH_LOGIN[address]
    assert split(address)[0] == plain and split(plain) == (plain, None)
    assert with_login(plain) == plain
    assert take_login(address) == plain and with_login(plain) == with_login(address) == whole
    assert shown(address) == shown(plain) == plain.replace("://", "://***@")
    assert split(whole) == split(address)


@pytest.mark.parametrize("address", WITHOUT)
def test_what_has_no_login_stays_as_it_is(address):
    """An @ of a path or of a parameter is none."""
    assert take_login(address) == address == shown(address) == with_login(address)
    assert known_secrets() == set()


@pytest.mark.parametrize("address", UNCLEAR)
def test_an_address_with_two_meanings_is_refused_and_not_repeated(address):
    """A password is sent to no host that is part of it; what is encoded has one meaning."""
    with pytest.raises(UserError, match="cannot be told apart") as error:
        take_login(address)
    assert address.partition("://")[2] not in str(error.value)
    assert shown(address).startswith(f"{address.partition(':')[0]}://***@")


@hypothesis.settings(max_examples=50)
@hypothesis.given(user=strategies.text(min_size=1), password=strategies.text(min_size=1))
def test_every_encoded_login_is_read_and_written_again(user, password):
    """Any signs at all."""
    address = f"https://{quoted(user)}:{quoted(password)}@h:5000/x"
    plain, found = split(address)
    assert (plain, found.user, found.password) == ("https://h:5000/x", user, password)
    assert joined(plain, found) == address


def test_a_server_s_login_is_mlflow_s_variables():
    """Decoded; a token has a variable of its own, a database none."""
    user, password, token = LOGIN_VARIABLES
    assert login_environment("https://u:p%40@h") == {user: "u", password: "p@"}
    assert login_environment("https://h?username=u&password=p%2F&x=1") == {user: "u", password: "p/"}
    assert login_environment("https://h?access_token=t") == {token: "t"}
    assert login_environment("postgresql://u:p@h/db") == login_environment("https://other") == {}


def test_logins_travel_to_a_worker_and_show_nothing_on_the_way(monkeypatch):
    """By the call itself: addresses' and those of the environment."""
    take_login("postgresql://u:pass-w0rd@h/db")
    monkeypatch.setenv(LOGIN_VARIABLES[1], "other-w0rd")
    handed = hand_over()
    assert "w0rd" not in repr(handed) + repr(handed.logins) + str(split("https://u:pass-w0rd@h"))
    monkeypatch.setattr(login, "_known", {})
    monkeypatch.delenv(LOGIN_VARIABLES[1])
    receive(pickle.loads(pickle.dumps(handed)))
    assert with_login("postgresql://h/db") == "postgresql://u:pass-w0rd@h/db"
    assert os.environ[LOGIN_VARIABLES[1]] == "other-w0rd"


@pytest.mark.parametrize("given", ["word", "variable", "file"])
def test_a_configuration_knows_the_address_alone(given, monkeypatch, tmp_path):
    """However it came in, and wherever else it is referred to: two people's configurations are equal."""
    address, words = "https://u:pass-w0rd@h", ["tracking.experiment=at ${tracking.uri}"]
    if given == "word":
        words.append(f"tracking.uri={address}")
    elif given == "variable":
        monkeypatch.setenv(ADDRESS_VARIABLE, address)
    else:
        monkeypatch.setenv("WORD", "pass-w0rd")
        words.append("tracking.uri=https://u:${oc.env:WORD}@h")
    config = load_config(SweepJob, words)
    assert config == load_config(SweepJob, ["tracking.uri=https://h", "tracking.experiment=at https://h"])
    assert "w0rd" not in f"{config}{to_yaml(config)}{to_public_dict(config)}"
    assert with_login(config.tracking.uri) == address


@pytest.mark.parametrize("address", ["https://a-token-of-27-characters-x@h", "https://a-token-of-27-characters-x:@h"])
def test_a_server_is_not_told_a_user_alone(address, monkeypatch):
    """MLflow's client would send nothing; with a password or a token in the environment it does."""
    with pytest.raises(UserError) as refused:
        take_login(address)
    assert "with a user and no password" in str(refused.value) and "27" not in str(refused.value)
    for variable in LOGIN_VARIABLES[1:]:
        monkeypatch.setenv(variable, "word")
        assert take_login(address) == "https://h" and "a-token-of-27-characters-x" in known_secrets()
        monkeypatch.delenv(variable)
