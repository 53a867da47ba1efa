"""`infra/check/entry_points.py`: commands of this project are found however they are written."""

import pytest
from small_infra import NAMESPACE, good_objects

from infra.check.entry_points import command_of, commands_in, entry_points, problems_of
from infra.check.rendered import Render


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("python jobs/x.py a=1 'b=c d'", ["python jobs/x.py a=1 'b=c d'"]),
        ("exec /opt/dq/.venv/bin/python3.11 -u /opt/dq/jobs/x.py a=1", ["python jobs/x.py a=1"]),
        ("cd /opt && python infra/check/y.py; echo done", ["python infra/check/y.py"]),
        ("python jobs/x.py \\\n  a=1\npython jobs/y.py", ["python jobs/x.py a=1", "python jobs/y.py"]),
        ("ray job submit -- python jobs/x.py a=$(NAME)", ["python jobs/x.py 'a=$(NAME)'"]),
        ("(python jobs/x.py a=1)", ["python jobs/x.py a=1"]),
        ("python jobs/x.py a=1 > out 2>&1", ["python jobs/x.py a=1"]),
        ("python infra/y.py submit -- python jobs/x.py a=1", ["python infra/y.py submit", "python jobs/x.py a=1"]),
        ("python -m pipeline.runtime", []),
        ("python other/jobs.py", []),
        ("mlflow server", []),
    ],
)
def test_a_shells_text_shows_its_commands(text, commands):
    """Up to where the shell ends them."""
    assert commands_in(text) == commands


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        (["python", "jobs/x.py", "a=b c"], ["python jobs/x.py 'a=b c'"]),
        (["/usr/bin/python3", "-u", "/app/jobs/x.py"], ["python jobs/x.py"]),
        (["tini", "--", "python", "jobs/x.py", "a;b"], ["python jobs/x.py 'a;b'"]),
        (["sh", "-c", "exec python jobs/x.py a=1 && true"], ["python jobs/x.py a=1"]),
        (
            ["python", "infra/submit.py", "--id", "$(ID)", "--", "/bin/python", "-u", "/opt/jobs/x.py", "a=1"],
            ["python infra/submit.py --id '$(ID)'", "python jobs/x.py a=1"],
        ),
        (["mlflow", "server"], []),
    ],
)
def test_a_list_of_words_shows_its_command(words, commands):
    """Words stay what they are; a script among them is read as a shell reads it."""
    assert command_of(words) == commands


def test_a_file_that_is_not_there_or_not_run_by_python_is_said(tmp_path):
    """Then no test can run it with --dry-run."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/x.py").touch()
    assert list(problems_of(["python jobs/x.py"], "python jobs/x.py", tmp_path)) == []
    assert list(problems_of(["python jobs/y.py"], "python jobs/y.py", tmp_path)) == ["there is no jobs/y.py"]
    (found,) = problems_of([], "./jobs/x.py a=1", tmp_path)
    assert "jobs/x.py is named, and not as" in found


def test_containers_entry_points_and_scripts_of_a_render_are_read(tmp_path):
    """Of pods, of Ray's jobs, and in ConfigMaps."""
    script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "namespace": NAMESPACE}}
    script["data"] = {"run.sh": "#!/bin/sh\nexec python infra/nights.py /x\n"}
    commands = set()
    found = list(entry_points(Render(source="o", objects=[*good_objects(), script]), tmp_path, commands))
    assert commands == {
        "python jobs/dq_sweep.py experiment=quickstart storage.path=/shared",
        "python jobs/retrain.py experiment=nights storage.path=/shared",
        "python infra/nights.py /x",
    }
    assert sorted(one.object for one in found) == ["ConfigMap/s", "CronJob/retrain", "RayJob/sweep"]
