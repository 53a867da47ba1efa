"""Requests: bodies as MLflow's server gets them, texts and settings as a program gives them, files of texts.

Whatever is accepted must be answered: a text for every text.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from handmade import write_exported
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, scoring_server

from fuzz.case import Case, Subject
from fuzz.json_values import changed_json
from fuzz.mutations import changed_bytes, read, write
from fuzz.subjects.exports import LABELS
from fuzz.tiny_models import tokenizer_of_sentences
from pipeline.config.errors import UserError
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.inputs import read_texts, with_second
from pipeline.serving import served_model
from pipeline.serving.logged_models import _signature
from pipeline.serving.served_model import REFUSE_LEFT_OUT, ServedStudent

ODD: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2, 3, 64, 65, 2**31, 2**63, 2**64, 10**30, 0.5, 1.0, -0.0, 1e308)
ODD += (float("nan"), float("inf"), "", " ", "a", "ü", "\0", "\ud800", "\udcff", "\u202e", "\U0010ffff", "\ufffd", "1")
ODD += (
    "true",
    "nan",
    "x" * 3000,
    "word " * 500,
    "<s></s><pad><mask>",
    "\r\n\t",
    "e\u0301\u0301",
    "a\ud83d",
    "e" * 100_000,
)
ODD += (b"bytes", [], ["a"], [["a"]], {}, {"text": "a"}, (), object, 1j)
SETTINGS = ("num_beams", "min_length", "max_length", "length_penalty", "early_stopping", "no_repeat_ngram_size")
ODD_SETTINGS = ("", "num_beam", "temperature", "__class__", "too_long", "ü")
UNEXPECTED = "unexpected error"
CLASSIFIER = 1
OTHER_BODIES = (
    ("text/csv", b"text\nread"),
    ("text/csv", b"text\n\xff"),
    ("text/csv", b'text\n"'),
    ("text/csv", b""),
    ("application/x-parquet", b"PAR1"),
    ("application/json; charset=latin-1", b"{}"),
    ("text/plain", b"read"),
    ("", b""),
)
HUGE_TEXT = "word " * 4_000_000
GOOD_LINES = '{"text": "read a file", "text_pair": "the teacher"}\n{"text": "tokens", "text_pair": ""}'


def prepare(folder: Path) -> list[dict[str, bytes]]:
    """A model that generates and one that classifies."""
    tokenizer = tokenizer_of_sentences()
    write_exported(folder / "generates", tokenizer)
    write_exported(folder / "classifies", tokenizer, labels=LABELS)
    return [read(folder / "generates"), read(folder / "classifies")]


_opened: dict[int, OnnxAnswerer] = {}


def case(good: list[dict[str, bytes]], rng: Random, folder: Path) -> Case:
    """Something that is asked of one of the models."""
    _MLFLOW_IS_IN_SERVING_ENVIRONMENT.set(True)  # as MLflow's servers do
    served_model.limit_requests()  # as the model does where it is loaded
    number = rng.randrange(len(good))
    if number not in _opened:
        _opened[number] = OnnxAnswerer(write(good[number], folder / "model"), num_threads=1)
    answerer = _opened[number]
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            return _served(answerer, number, rng)
        case 4 | 5:
            return _file(answerer, number, rng, folder)
        case 6:
            return _streamed(answerer, number, rng)
    return _asked(answerer, number, rng)


def _settings(rng: Random) -> dict[str, Any]:
    names = rng.sample(SETTINGS, rng.choice([0, 0, 1, 1, 2])) + rng.sample(ODD_SETTINGS, rng.choice([0, 0, 0, 1]))
    return {name: rng.choice([*ODD, 1, 2, 3, 5, 8, 1.5, -1.0]) for name in names}


def _texts(rng: Random) -> Any:
    if rng.random() < 0.15:
        return rng.choice([*ODD, [], [[]], [None], {"text": ["a"]}, (1,), "text"])
    return [
        rng.choice([*ODD, "read", "the teacher"]) if rng.random() < 0.4 else "read a file"
        for _ in range(rng.randint(1, 3))
    ]


def _checked(answers: Any, texts: Any) -> None:
    assert isinstance(answers, list) and len(answers) == len(texts)
    assert all(isinstance(answer, str) for answer in answers)
    json.dumps(answers).encode()


def _asked(answerer: OnnxAnswerer, number: int, rng: Random) -> Case:
    texts, settings = _texts(rng), _settings(rng)
    second = _texts(rng) if rng.random() < 0.5 else None
    what = f"model {number} asked for {texts!r:.120} and {second!r:.120} with {settings!r:.200}"
    return Case(change=what, call=lambda: _checked(answerer.answers(texts, second, **settings), texts))


def _streamed(answerer: OnnxAnswerer, number: int, rng: Random) -> Case:
    texts, settings = _texts(rng), _settings(rng)

    def call() -> None:
        _checked(["".join(pieces) for pieces in answerer.streams(texts, **settings)], texts)

    return Case(change=f"model {number} streams {texts!r:.120} with {settings!r:.200}", call=call)


def _served(answerer: OnnxAnswerer, number: int, rng: Random) -> Case:
    """A request as MLflow's server takes it, and hands it on."""
    columns = ["text", "text_pair"] if number == CLASSIFIER and rng.random() < 0.5 else ["text"]
    texts = [[rng.choice(["read", "", "the teacher ü"]) for _ in columns] for _ in range(rng.randint(1, 3))]
    records = [dict(zip(columns, row, strict=True)) for row in texts]
    body: dict[str, Any] = rng.choice(
        [
            {"dataframe_records": records},
            {"dataframe_split": {"columns": columns, "data": texts}},
            {"inputs": {name: [record[name] for record in records] for name in columns}},
            {"instances": records},
        ]
    )
    if rng.random() < 0.6:
        body["params"] = {"num_beams": 2, "max_length": 6, "length_penalty": 1.5, "early_stopping": True}
    raw, content_type = json.dumps(body), "application/json"
    change, way = changed_json(raw, rng), rng.random()
    if way < 0.75 and change is not None:
        what, content = change[0], change[1].encode("utf-8", "surrogatepass")
    elif way < 0.95:
        what, content = changed_bytes(raw.encode(), rng)
    elif way < 0.99:
        content_type, content = rng.choice(OTHER_BODIES)
        what = f"{content_type}: {content!r}"
    else:
        what, content = "20 MB of text", json.dumps({"inputs": {"text": [HUGE_TEXT]}}).encode()
    served, schema = _behind_mlflow(answerer, columns)

    def call() -> None:
        said = scoring_server.invocations(content, content_type, served, schema)
        if said.status != 200:
            raise MlflowException.invalid_parameter_value(said.response)
        answers = json.loads(said.response)["predictions"]
        _checked(answers, answers)

    return Case(change=f"model {number} serves {list(body)}: {what}", call=call)


def _behind_mlflow(answerer: OnnxAnswerer, columns: list[str]) -> tuple[Any, Any]:
    """The model as MLflow loads it, and the schema of what it is sent."""
    usual = {} if answerer.labels is not None else asdict(answerer.info.decoding)
    model = Model(signature=_signature(dict.fromkeys(columns, "a text"), usual))
    model.add_flavor("python_function", loader_module=served_model.__name__)
    logging.getLogger("mlflow.models.utils").addFilter(REFUSE_LEFT_OUT)
    return PyFuncModel(model, ServedStudent(answerer)), model.get_input_schema()


def _file(answerer: OnnxAnswerer, number: int, rng: Random, folder: Path) -> Case:
    suffix, content = rng.choice([".jsonl", ".jsonl", ".txt", ".JSONL", ".csv", ""]), GOOD_LINES.encode()
    if rng.random() < 0.5:
        what, content = changed_bytes(content, rng)
    else:
        lines = GOOD_LINES.split("\n")
        change = changed_json(lines[0], rng)
        assert change is not None
        what, lines[0] = change[0], change[1].replace("\n", " ")
        content = "\n".join(lines).encode("utf-8", "surrogatepass")
    path = folder / f"texts{suffix}"
    path.write_bytes(content)
    second = rng.choice([None, None, "a"])

    def call() -> None:
        texts = with_second(read_texts(str(path)), second)
        _checked(answerer.answers(texts.first, texts.second), texts.first)

    return Case(change=f"model {number} reads {path.name}: {what}", call=call)


def is_refusal(error: BaseException) -> bool:
    """A mistake of whoever asks, with its status; MLflow gives the same one to any error of the model."""
    if isinstance(error, MlflowException):
        return bool(error.get_http_status_code() == 400) and UNEXPECTED not in error.message
    return isinstance(error, UserError)


SUBJECT = Subject(name="requests", prepare=prepare, case=case, is_refusal=is_refusal)
