"""`infra/check/laws/secrets.py`: what looks like a secret, and what only sounds like one."""

import pytest

from infra.check.laws.secrets import is_secret_name, secret_in_text


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "MLFLOW_TRACKING_PASSWORD", "POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", "db_pwd"],
)
def test_names_of_secrets_are_known(name):
    """As this project and what it uses call them."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "TOKENIZERS_PARALLELISM", "MAX_TOKENS", "POSTGRES_PASSWORD_FILE", "KEY"],
)
def test_names_that_only_sound_so_are_not(name):
    """Their values are for everybody."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "is_secret"),
    [
        ("postgresql://u:kan4ri@db/mlflow", True),
        ("postgresql://$(USER):$(PASSWORD)@db/mlflow", False),
        ("postgresql+psycopg2://u:${PASSWORD}@db/mlflow", False),
        ("https://h:8080/a@b", False),
        ("-----BEGIN RSA PRIVATE KEY-----", True),
        ("-----BEGIN CERTIFICATE-----", False),
    ],
)
def test_a_login_in_a_text_is_found_and_not_repeated(text, is_secret):
    """Variables that are filled in where it runs are none."""
    problem = secret_in_text(text)
    assert bool(problem) is is_secret and "kan4ri" not in problem
