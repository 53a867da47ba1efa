"""Law 15 and the command line: every YAML loads in its role; a mistake is named with what was meant."""

from pathlib import Path

import pytest
import yaml

from pipeline.config.build import build, to_dict
from pipeline.config.errors import UserError
from pipeline.config.job import all_jobs, groups_of, has_experiments, job_name
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash
from pipeline.config.load import CONF_DIR, help_text, load_config, members, to_yaml
from pipeline.config.sections.sweep import StudentConfig
from pipeline.quantization.scheme import scheme_of

JOBS = {job_name(job): job for job in all_jobs()}
GROUPS = [path.name for path in sorted(CONF_DIR.iterdir()) if path.is_dir()]
MEMBERS = [(group, name) for group in GROUPS for name in members(group)]


def test_every_yaml_has_a_role():
    """Base file of a job, member of a group, or experiment: nothing lies in conf/ that nobody loads."""
    files = {path.relative_to(CONF_DIR).as_posix() for path in CONF_DIR.rglob("*.yaml")}
    assert files == {f"{job}.yaml" for job in JOBS} | {f"{group}/{name}.yaml" for group, name in MEMBERS}
    assert len(files) == len(JOBS) + len(MEMBERS) >= 42
    assert sorted(path.stem for path in (CONF_DIR.parent / "jobs").glob("*.py")) == sorted(JOBS)
    assert {*GROUPS} == {"experiment", *(group for job in JOBS.values() for group in groups_of(job))}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_base_file_and_every_member_loads_in_its_role(job):
    """And the choice is kept under its name."""
    assert build(job, to_dict(load_config(job, []))) == load_config(job, [])
    for group, name in MEMBERS:
        if group in groups_of(job):
            assert getattr(load_config(job, [f"{group}={name}"]), group).name == name
        elif group == "experiment" and has_experiments(job):
            assert load_config(job, [f"experiment={name}"]).experiment == name


def test_the_real_encoder_lies_where_make_puts_it():
    """Below the storage folder, whichever that is; another folder can be named."""
    named = load_config(SweepJob, ["experiment=real_encoder", "storage.path=/shared"]).model.pretrained
    assert named == "/shared/models/all-MiniLM-L6-v2"
    makefile = (CONF_DIR.parent / "Makefile").read_text()
    assert f"ENCODER = $(DQ_STORAGE){named.removeprefix('/shared')}\n" in makefile
    assert load_config(SweepJob, ["model=minilm", "model.pretrained=/other"]).model.pretrained == "/other"


@pytest.mark.parametrize("experiment", members("experiment"))
def test_every_student_of_every_experiment_has_a_recipe_that_holds(experiment):
    """What a student changes is known, and its quantizers take the settings."""
    config = load_config(SweepJob, [f"experiment={experiment}"])
    for student in config.sweep.points():
        assert scheme_of(student.scheme, student.recipe_under(config.recipe).quantization).name == student.scheme


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A small conf/ with a base file, two recipes and an experiment."""
    files = {
        "dq_sweep.yaml": "defaults: {recipe: one}\nseed: 1\nteacher: {epochs: 1, dropout: 0.1}\n",
        "recipe/one.yaml": "distillation: {task: 2.0}\n",
        "recipe/two.yaml": "distillation: {task: 3.0, logits: 3.0}\nquantization: {clip_value: 2.5}\n",
        "experiment/big.yaml": "defaults: {recipe: two}\nteacher: {epochs: 7}\nrecipe: {distillation: {logits: 4.0}}\n",
        "experiment/list.yaml": "- seed\n",
        "experiment/broken.yaml": "seed: {\n",
        "experiment/typo.yaml": "teacher: {epoch: 7}\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("one", 2.0, 1.0, None, 1, 1)),
        (["recipe=two"], ("two", 3.0, 3.0, 2.5, 1, 1)),
        (["experiment=big"], ("two", 3.0, 4.0, 2.5, 7, 1)),
        (["experiment=big", "recipe=one"], ("one", 2.0, 4.0, None, 7, 1)),
        (["teacher.epochs=9", "experiment=big", "seed=5", "seed=6"], ("two", 3.0, 4.0, 2.5, 9, 6)),
        (["recipe.distillation.task=9", "recipe=two"], ("two", 9.0, 3.0, 2.5, 1, 1)),
    ],
)
def test_the_command_line_wins_over_the_experiment_over_its_groups_over_the_base(conf, words, expected):
    """Whatever the order of the words; of the same key the last one counts."""
    config = load_config(SweepJob, words, conf)
    recipe, weights = config.recipe, config.recipe.distillation
    clip, epochs = recipe.quantization.clip_value, config.teacher.epochs
    assert (recipe.name, weights.task, weights.logits, clip, epochs, config.seed) == expected
    assert config.teacher.dropout == 0.1


@pytest.mark.parametrize("name", ["list", "broken", "typo", "nothing"])
def test_a_bad_file_is_refused(conf, name):
    """A list, broken YAML, a misspelt key, no such file."""
    message = {"list": "is a list", "typo": "teacher.epoch'.*did you mean 'teacher.epochs'", "nothing": "unknown"}
    with pytest.raises(UserError, match=message.get(name, f"{name}.yaml")):
        load_config(SweepJob, [f"experiment={name}"], conf)


def test_a_configuration_survives_its_own_yaml_and_dictionary():
    """What is saved beside a run is what ran."""
    config = load_config(SweepJob, ["experiment=quickstart", "model.pretrained=null", "student.learning_rate=3e-4"])
    assert build(SweepJob, to_dict(config)) == config
    assert build(SweepJob, yaml.safe_load(to_yaml(config))) == config


def test_a_hash_is_stable_and_changes_with_every_value():
    """A run's name today is its name tomorrow; the order of keys does not matter."""
    assert config_hash({"a": 1, "b": [2.5, None, "x"]}, "y") == "d8e19e3132"
    assert config_hash({"b": [2.5, None, "x"], "a": 1}, "y") == "d8e19e3132"
    words = [[], ["seed=29"], ["student.dropout=0.2"], ["recipe.quantization.attention=false"]]
    words += [["sweep.students=[{scheme: 2-2-8}]"], ["sweep.students=[{scheme: 2-2-8, distil: false}]"]]
    hashes = [config_hash(to_dict(load_config(SweepJob, list(choice)))) for choice in words]
    assert len(set(hashes)) == len(words)
    assert all(len(text) == 10 and int(text, 16) >= 0 for text in hashes)


def test_help_names_every_key_and_every_member():
    """With default, meaning and allowed values."""

    def leaves(section: dict, key: str = "") -> list[str]:
        names = []
        for name, value in section.items():
            names += leaves(value, f"{key}{name}.") if isinstance(value, dict) and value else [key + name]
        return names

    lines = help_text(SweepJob, "Summary.").splitlines()
    described = {line.split()[0]: line for line in lines if line.startswith("  ")}
    students = [f"sweep.students[i].{name}" for name in to_dict(StudentConfig())]
    assert set(described) == {*leaves(to_dict(SweepJob())), *students}
    assert all(len(line.split()) > 3 for line in described.values())
    assert "0, 1, 2, 3" in described["cluster.zero_stage"]
    for group, name in MEMBERS:
        assert any(line.startswith(f"{group}=") and name in line for line in lines)


def test_different_students_have_different_names():
    """Metrics and runs are kept by name: a layer map or a learning rate of its own shows in it."""
    base = {"scheme": "2-2-8", "depth": "6-3"}
    extras = [{}, {"distil": False}, {"learning_rate": 1e-3}, {"encoder_map": [0, 1, 2, 3, 4, 5]}]
    extras += [{"decoder_map": [0, 2, 4]}, {"decoder_map": [1, 3, 5]}]
    assert len({StudentConfig(**base, **extra).name for extra in extras}) == len(extras)
