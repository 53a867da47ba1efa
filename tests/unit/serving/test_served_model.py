"""What a scoring server does with requests that are too large, and with graphs that are not its package's."""

from types import SimpleNamespace

import pandas
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from pipeline.config.errors import UserError
from pipeline.runtime import request
from pipeline.serving import served_model
from pipeline.serving.served_model import ServedStudent, limit_requests
from pipeline.storage.digests import sha256_of


class Echo:
    """Says what it hears."""

    def answers(self, texts, second=None, **overrides):
        return list(texts)


@pytest.fixture
def invocations(monkeypatch):
    """MLflow's function with our limits, around a model that echoes."""
    monkeypatch.setattr(scoring_server, "invocations", scoring_server.invocations)
    limit_requests()
    student, metadata = ServedStudent(Echo()), SimpleNamespace(get_params_schema=lambda: None)
    model = SimpleNamespace(metadata=metadata, predict=lambda data, params=None: student.predict(data, params))
    return lambda body: scoring_server.invocations(body, "application/json", model, None)


def test_a_request_within_the_limits_is_answered(invocations):
    """As without them."""
    answer = invocations(b'{"dataframe_records": [{"text": "red"}]}')
    assert (answer.status, answer.response) == (200, '{"predictions": ["red"]}')


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"inputs": {"text": ["' + b"a" * (16 << 20) + b'"]}}', "a request of 16,777,"),
        (b'{"inputs": {"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "lists in lists in lists"),
        (b'{"inputs": {"text": [' + b"9" * 5000 + b"]}}", "a number of thousands of digits"),
        (
            b'{"inputs": {"text": ["' + b"a" * (request.MAX_CHARACTERS + 1) + b'"]}}',
            "2,000,001 characters in a request",
        ),
        (b'{"inputs": {"text": [' + b",".join([b'"a"'] * 10_001) + b"]}}", "10,001 texts in a request"),
    ],
    ids=["bytes", "nesting", "digits", "characters", "texts"],
)
def test_a_request_beyond_them_is_a_mistake_of_whoever_sends_it(invocations, body, sentence):
    """400 with a sentence, not 500 or a busy process."""
    with pytest.raises(MlflowException, match=sentence) as caught:
        invocations(body)
    assert caught.value.get_http_status_code() == 400 and "Allowed:" in str(caught.value)


def test_limits_are_set_once(invocations):
    """A process may load several models."""
    before = scoring_server.invocations
    limit_requests()
    assert scoring_server.invocations is before


def test_whoever_predicts_without_a_server_has_the_same_limits():
    """The model is one."""
    with pytest.raises(MlflowException, match="10,001 texts"):
        ServedStudent(Echo()).predict(pandas.DataFrame({"text": ["a"] * 10_001}))


def test_graphs_of_another_package_are_not_served(make_exported, tmp_path):
    """Folders of two logged models may have been mixed up, each of them whole."""
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "manifest.json").write_text("{}")
    make_exported(served_model.EXPORTED, source=sha256_of(tmp_path / "packed" / "manifest.json"))
    served_model._load_pyfunc(str(tmp_path / "packed"))
    (tmp_path / "packed" / "manifest.json").write_text('{"another": 1}')
    with pytest.raises(UserError, match="was exported from another student than"):
        served_model._load_pyfunc(str(tmp_path / "packed"))
