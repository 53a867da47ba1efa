"""Names that stay: a key is what was decided, whatever settings a later version adds."""

import json
from dataclasses import dataclass, fields, is_dataclass, make_dataclass, replace

import pytest
from repository import ROOT

from pipeline.config.build import to_dict
from pipeline.config.job import all_jobs, job_name, settings_of
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.load import load_config
from pipeline.config.option import option
from pipeline.config.sections.agora import AgoraConfig
from pipeline.config.sections.cluster import AUTO_PRECISION
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.config.sections.model import ArchitectureConfig
from pipeline.config.sections.pretraining import EncoderConfig, PretrainingConfig
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.config.sections.task import DecodingConfig, TaskConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import as_decided, sweep_key
from pipeline.stages.teacher.fine_tune import teacher_key

# The embedded corpus is another one on every machine, so a number stands for it.
TASK = PreparedTask(
    start="folder:0123456789abcdef",
    tokenizer_folder="/storage/cache/tokenizers/0123456789abcdef",
    tokens_folder="/storage/cache/tokens/0123456789abcdef",
    fingerprint="0123456789abcdef",
    labels=[],
)


def keys_of(*words):
    config = load_config(SweepJob, list(words))
    if config.cluster.precision == AUTO_PRECISION:  # decided when a job opens: here by processors that have bf16
        config = replace(config, cluster=replace(config.cluster, precision="bf16"))
    teacher = teacher_key(config, TASK if config.model.pretrained else replace(TASK, start="scratch"))
    return teacher, sweep_key(config, teacher)


@pytest.mark.parametrize(
    ("words", "teacher", "sweep"),
    [
        (["experiment=quickstart"], "e2251bd0c0", "91ae5e08d1"),
        (["experiment=dqbart_xsum"], "a0415c17e4", "7b0c86f33a"),
        (["experiment=small_classification", "task=classification"], "bedd04f978", "e6f895fde7"),
        (["model=tiny", "model.architecture.d_model=64"], "4ac217c970", "1018b419bf"),
        (["model=tiny_encoder", "task=classification"], "3f4b56c4cd", "1d19cf0d1f"),
    ],
)
def test_keys_are_these(words, teacher, sweep):
    """What is finished under a version is found by the next one; who changes these lines retrains the world."""
    assert keys_of(*words) == (teacher, sweep)


def test_a_student_s_key_is_this():
    """Its own line; a name is no part of it, what it names is."""
    student = StudentConfig(scheme="2-2-8", depth="6-3")
    assert config_hash("sweep", decisions(student), 28) == "db0f6ea2cd"
    assert decisions(replace(student, label="a")) != decisions(student)
    assert (
        decisions(replace(student, training="ptq")) != decisions(student) == decisions(replace(student, training="qat"))
    )


def test_a_student_s_key_does_not_depend_on_how_its_recipe_is_written():
    """Old names, integers for numbers, what the sweep's recipe says already."""
    recipe = load_config(SweepJob, []).recipe
    written = (
        {"quantization": {"lm_head": False}, "distillation": {"logits": 2.0}},
        {"quantisation": {"lm_head": False}, "distillation": {"logits": 2}},
        {"quantization": {"lm_head": False, "attention": True}, "distillation": {"logits": 2.0, "task": 1}},
    )
    keys = {str(decisions(as_decided(StudentConfig(label="a", recipe=own), recipe))) for own in written}
    assert len(keys) == 1
    assert str(decisions(as_decided(StudentConfig(label="a"), recipe))) not in keys


def test_a_setting_that_is_added_renames_nothing():
    """As long as its default is what was done before; what then differs from it has another name."""
    later = make_dataclass(
        "TrainConfig", [("momentum", float, option(0.9, "new"))], bases=(TrainConfig,), frozen=True, kw_only=True
    )
    assert decisions(later(epochs=5)) == decisions(TrainConfig(epochs=5)) == {"epochs": 5}
    assert decisions(later(momentum=0.5)) == {"momentum": 0.5}


def test_a_default_that_changes_its_meaning_gets_a_version():
    """By hand, and everything that depends on the section gets another name."""

    @dataclass(frozen=True, kw_only=True)
    class Changed(TrainConfig):
        KEY_VERSION = 2

    assert decisions(Changed()) == {"KEY_VERSION": 2}
    assert decisions(TrainConfig()) == {}


def test_what_changes_no_results_is_no_part_of_a_key():
    """How often something is logged or stored."""
    assert keys_of("student.log_every_steps=3", "teacher.checkpoint_every_steps=7") == keys_of()
    assert keys_of("student.dropout=0.3") != keys_of()
    assert keys_of("cluster.num_workers=4", "cluster.engine=torch") == keys_of()
    assert decisions(PretrainingConfig(compare=False, validate_every_steps=7)) == {}  # who looks, and when


IN_KEYS = (TaskConfig, DecodingConfig, RecipeConfig, TrainConfig, StudentConfig, ArchitectureConfig, EvaluationConfig)
IN_KEYS += (PretrainingConfig, EncoderConfig, AgoraConfig, SearchConfig)


@pytest.mark.parametrize("section", IN_KEYS, ids=lambda section: section.__name__)
def test_a_default_changes_with_the_version_of_its_section_alone(section):
    """Else results of another meaning would bear the names of those that are finished.

    A new setting is written down here, and renames nothing; a default that changes raises KEY_VERSION.
    """
    known = json.loads((ROOT / "tests" / "fixtures" / "defaults.json").read_text())[section.__name__]
    version, defaults = getattr(section, "KEY_VERSION", 1), to_dict(section())
    assert set(defaults) == set(known["defaults"]), "write new settings down in tests/fixtures/defaults.json"
    assert version >= known["KEY_VERSION"]
    assert defaults == known["defaults"] or version > known["KEY_VERSION"]


@pytest.mark.parametrize("job", all_jobs(), ids=job_name)
def test_every_setting_says_whether_it_changes_results(job):
    """And decisions of the defaults are none, in every section of every job."""
    assert all("changes_results" in setting.metadata for _, setting in settings_of(job))
    config = job()
    for section in fields(config):
        if is_dataclass(value := getattr(config, section.name)):
            assert decisions(value).keys() <= {"KEY_VERSION"}
