"""Students as logged models: what MLflow serves is what was evaluated, and a bad request is told what is wrong."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pandas
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.runtime.answer import OnnxAnswerer
from pipeline.serving import served_model
from pipeline.serving.logged_models import model_name
from pipeline.stages.sweep.job import run

SERVER_SECONDS = 120.0


def folder_of(served_sweep, student):
    storage, document = served_sweep
    return storage / "sweeps" / document["sweep"] / "students" / student["key"]


def sources(corpus):
    """The sources of the test split."""
    path = corpus.split("test: ")[1].partition("}")[0]
    return [json.loads(line)["text"] for line in Path(path).read_text().splitlines()]


def test_mlflow_answers_what_the_evaluation_heard(served_sweep, corpus, served, monkeypatch):
    """Every student, on every example of the test split, where onnxruntime is not installed: in torch."""
    storage, document = served_sweep
    monkeypatch.setattr(served_model, "find_spec", lambda name: None)
    asked, heard = pandas.DataFrame({"text": sources(corpus)}), []
    for student in document["students"]:
        model = served(storage, f"runs:/{student['run_id']}/{model_name(student['name'])}")
        lines = (folder_of(served_sweep, student) / "predictions.jsonl").read_text().splitlines()
        heard.append([json.loads(line)["prediction"] for line in lines])
        assert model.predict(asked) == heard[-1]
        assert model.predict(model.input_example) == heard[-1][:1]
    assert heard[0] != heard[1]
    assert len(set(heard[0])) > 5


def test_mlflow_answers_from_the_graphs(served_sweep, corpus, served, monkeypatch):
    """The same as the exported folder beside the package, and in the same way: mistakes are those of whoever asks."""
    storage, document = served_sweep
    asked = pandas.DataFrame({"text": sources(corpus)})
    for student in document["students"]:
        address = f"runs:/{student['run_id']}/{model_name(student['name'])}"
        graphs = served(storage, address)
        assert graphs.predict(asked) == OnnxAnswerer(folder_of(served_sweep, student) / "onnx").answers(sources(corpus))
        assert len(graphs.predict(graphs.input_example)) == 1
    with monkeypatch.context() as patched:
        patched.setattr(served_model, "find_spec", lambda name: None)
        package = served(storage, address)
    for model in (graphs, package):
        with pytest.raises(MlflowException, match="for this model") as caught:
            model.predict(asked, params={"max_length": 10**6})
        assert caught.value.get_http_status_code() == 400


WITHOUT = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import json, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
import pipeline.runtime.answer as answering
said = model.predict(pandas.DataFrame({{"text": json.load(sys.stdin)}}))
print(json.dumps({{"code": answering.__file__, "said": said}}))
"""


def test_a_model_needs_nothing_but_mlflow_and_the_runtime(served_sweep, corpus, tmp_path):
    """Without torch, transformers and whatever else trained it, from the code that it carries."""
    storage, document = served_sweep
    student = document["students"][0]
    absent = ("torch", "transformers", "datasets", "safetensors", "omegaconf", "sentencepiece", "deepspeed", "ray")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{storage / 'mlflow.db'}"
    command = [sys.executable, "-c", WITHOUT.format(absent=absent), f"runs:/{student['run_id']}/8-8-8-6-3"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, input=json.dumps(sources(corpus)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["said"] == OnnxAnswerer(folder_of(served_sweep, student) / "onnx").answers(sources(corpus))
    assert "/8-8-8-6-3/code/pipeline/" in answer["code"]


def test_a_model_s_page_is_complete(served_sweep):
    """Ready, on its run, with the run's parameters and final metrics; the run has each metric once."""
    storage, document = served_sweep
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    for student in document["students"]:
        found = client.get_run(student["run_id"])
        [output] = found.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        assert (model.status.name, model.source_run_id) == ("READY", student["run_id"])
        assert {metric.key: metric.value for metric in model.metrics} == found.data.metrics
        assert model.params["scheme"] == found.data.params["scheme"]
        assert len(client.get_metric_history(student["run_id"], "test_rougeL")) == 1
        assert json.loads(model.tags["mlflow.modelVersions"])[0]["name"] == "short titles"
        left = {path.name for path in folder_of(served_sweep, student).iterdir()}
        assert left == {"packed", "onnx", "predictions.jsonl", "result.json"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server_log(tmp_path_factory):
    """The file with what the server prints."""
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def server(served_sweep, server_log):
    """`mlflow models serve` of the best student: an address, and a function that asks: (status, answer)."""
    storage, _ = served_sweep
    port, binaries = free_port(), Path(sys.executable).parent
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }  # its code is in the model
    environment |= {
        "MLFLOW_TRACKING_URI": f"sqlite:///{storage / 'mlflow.db'}",
        "PATH": f"{binaries}:{os.environ['PATH']}",
    }
    command = [str(binaries / "mlflow"), "models", "serve", "-m", "models:/short titles@best"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with server_log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=server_log.parent,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_healthy(process, f"http://127.0.0.1:{port}/health", server_log)
        yield lambda body: ask(f"http://127.0.0.1:{port}/invocations", body)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_until_healthy(process, address, log):
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


def ask(address, body):
    content = body if isinstance(body, str) else json.dumps(body)
    request = urllib.request.Request(address, content.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("params", [{}, {"num_beams": 4, "max_length": 8}, {"min_length": 6, "length_penalty": -1}])
def test_the_server_answers_from_the_packed_weights(server, served_sweep, corpus, params):
    """The same as the graphs themselves, with their own decoding and with another."""
    _, document = served_sweep
    best = max(document["students"], key=lambda student: student["metrics"]["test_rougeLsum"])
    expected = OnnxAnswerer(folder_of(served_sweep, best) / "onnx").answers(sources(corpus), **params)
    status, answer = server({"dataframe_records": [{"text": text} for text in sources(corpus)], "params": params})
    assert (status, answer) == (200, {"predictions": expected})
    status, answer = server({"inputs": {"text": sources(corpus)}, "params": params})
    assert (status, answer) == (200, {"predictions": expected})


def test_the_server_s_log_tells_what_answers_and_what_was_cut(server, server_log):
    """Whoever runs the server reads it there."""
    status, _ = server({"dataframe_records": [{"text": "red green blue " * 40}]})
    lines = server_log.read_text().splitlines()
    assert status == 200
    assert any(line.startswith("answers from ") and line.endswith("onnx") for line in lines)
    assert "warning: 1 of 1 texts are cut to 24 tokens" in lines


def test_an_empty_text_is_answered(server, served_sweep):
    """Like any other: the model decides."""
    status, answer = server({"dataframe_records": [{"text": ""}]})
    assert status == 200
    assert isinstance(answer["predictions"][0], str)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"dataframe_records": [{"text": "a"}], "params": {"num_beam": 2}}, "unknown to this model: 'num_beam'"),
        ({"dataframe_records": [{"text": "a"}], "params": {"num_beams": 0}}, "at least 1 and at most 64"),
        ({"dataframe_records": [{"text": "a"}], "params": {"num_beams": "four"}}, "Can not safely convert"),
        ({"dataframe_records": [{"text": "a"}], "params": {"num_beams": 10**9}}, "at least 1 and at most 64"),
        ({"dataframe_records": [{"text": "a"}], "params": {"max_length": 10**9}}, "for this model"),
        ({"dataframe_records": [{"text": "a"}], "params": [1]}, "must be a dictionary"),
        ({"dataframe_records": [{"text": "a", "text_pair": "b"}]}, "unknown to this model: 'text_pair'"),
        ({"dataframe_records": [{"text": None}]}, "text 1 is 'None'"),
        ({"dataframe_records": [{"texts": "a"}]}, "missing inputs ['text']"),
        ({"dataframe_records": []}, "missing inputs ['text']"),
        ({"inputs": {"text": []}}, "no text. Allowed: at least one"),
        ({"inputs": {"text": [["a"]]}}, "(list). Allowed: text"),
        ({"text": "a"}, "exactly one of the input fields"),
        ("nonsense", "valid JSON"),
    ],
)
def test_a_bad_request_is_refused_with_a_sentence(server, body, sentence):
    """400, what was wrong, and no trace of the program."""
    status, answer = server(body)
    assert status == 400
    assert sentence in json.loads(answer)["message"]
    assert "Traceback" not in answer


def registered(storage, name):
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    return client, sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))


def test_students_are_versions_with_tags_and_aliases(served_sweep):
    """One each; `best` has the highest headline score, `smallest` the fewest bytes."""
    storage, document = served_sweep
    client, versions = registered(storage, "short titles")
    assert document["versions"] == {"8-8-8 6-3": 1, "2-2-8 3-1": 2}
    for version, student in zip(versions, document["students"], strict=True):
        assert version.run_id == version.tags["run"] == student["run_id"]
        assert f"{version.tags['scheme']} {version.tags['depth']}" == version.tags["student"] == student["name"]
        assert float(version.tags["headline"]) == pytest.approx(student["metrics"]["test_rougeLsum"], abs=1e-3)
        assert float(version.tags["size_bytes"]) == student["metrics"]["size_bytes"]
    best = max(document["students"], key=lambda student: student["metrics"]["test_rougeLsum"])
    assert client.get_model_version_by_alias("short titles", "best").tags["student"] == best["name"]
    assert client.get_model_version_by_alias("short titles", "smallest").tags["student"] == "2-2-8 3-1"


def test_a_model_that_was_not_logged_costs_no_result_and_is_logged_later(job, tmp_path, monkeypatch):
    """Submitted again with a name, its student is registered; later ones join it, and nothing is doubled."""
    students, place = "sweep.students=[{scheme: 8-8-8, depth: 1-1}]", f"storage.path={tmp_path}"

    def broken(*arguments):
        raise MlflowException("no space left", error_code=1000)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_model_artifacts", broken)
        code, out, err = job("dq_sweep", run, students, place)
    assert code == 0, err
    assert "student 8-8-8 1-1 cannot be served yet, its model was not logged: MlflowException: no space left" in err
    first = json.loads(out.splitlines()[-1])["students"]
    for more, versions in (
        ("]", {"8-8-8 1-1": 1}),
        (", {scheme: 2-2-8, depth: 1-1}]", {"8-8-8 1-1": 1, "2-2-8 1-1": 2}),
        (", {scheme: 2-2-8, depth: 1-1}]", {"8-8-8 1-1": 1, "2-2-8 1-1": 2}),
    ):
        code, out, err = job("dq_sweep", run, students.replace("]", more), place, "tracking.register=later")
        assert code == 0, err
        document = json.loads(out.splitlines()[-1])
        assert document["students"][:1] == first
        assert document["versions"] == versions
        client, found = registered(tmp_path, "later")
        assert client.get_model_version_by_alias("later", "smallest").tags["student"] == list(versions)[-1]
        models = client.search_logged_models([client.get_experiment_by_name("dq-bart").experiment_id])
        assert {model.status.name for model in models} == {"READY"}
        assert sorted(m.artifact_location for m in models) == sorted(version.source for version in found)


def test_a_name_that_mlflow_cannot_register_is_refused_at_once(job, tmp_path):
    """Before anything is trained."""
    code, _, err = job("dq_sweep", run, "tracking.register=a/b", f"storage.path={tmp_path / 'runs'}")
    assert (code, "tracking.register='a/b'" in err) == (2, True)
