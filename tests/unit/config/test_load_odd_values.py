"""Whatever stands on a command line or in a file of settings is refused in a paragraph or accepted: no traceback."""

import logging

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import HUGE, NESTS, SETTINGS, SINGLE

from pipeline.config.errors import SHOWN_CHARACTERS, UserError
from pipeline.config.job import all_jobs, groups_of, settings_of
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.config.load import load_config, to_yaml


@pytest.fixture(autouse=True, scope="module")
def silence():
    """What is left out of a file is told; nobody reads it here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


KEYS = {job: [name for name, _ in settings_of(job)] for job in all_jobs()}
MANGLED = ["{}.a", "{}[0]", "{}.", ".{}", "a.{}", "{}.x" + ".x" * 60, "defaults.{}", "{}\n"]


def answer(job, words, *folder):
    """What a configuration is answered with: its YAML, or the refusal; anything else is raised."""
    try:
        return to_yaml(load_config(job, words, *folder))
    except UserError as error:
        assert str(error).encode() and "\0" not in str(error)
        assert all(len(str(one)) < 4 * SHOWN_CHARACTERS for one in error.errors)
        return error


@st.composite
def words_of_jobs(draw):
    """A job, and words for it: settings, groups, and keys that are none."""
    job = draw(st.sampled_from(list(KEYS)))
    keys = st.sampled_from([*KEYS[job], *groups_of(job)])
    keys |= st.builds(lambda pattern, key: pattern.format(key), st.sampled_from(MANGLED), keys) | SINGLE
    words = [f"{draw(keys)}={draw(SETTINGS)}" for _ in range(draw(st.integers(1, 12)))]
    again = [f"{word.partition('=')[0]}={draw(SETTINGS)}" for word in words if draw(st.booleans())]
    return job, words + again


@given(words_of_jobs())
@settings(max_examples=30)
def test_words_are_refused_or_accepted(given_words):
    """Of every job, several at once."""
    answer(*given_words)


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conf")
    (folder / "task").mkdir()
    return folder


FILES = st.binary(max_size=30) | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
FILES |= st.builds(
    lambda key, value: f"{key}: {value}".encode("utf-8", "surrogatepass"),
    st.sampled_from(["defaults", "seed", "task", "recipe", "sweep", "teacher", "model"]) | SINGLE,
    SETTINGS,
)


@given(FILES, FILES)
@settings(max_examples=60)
def test_files_are_refused_or_accepted(conf, base, member):
    """The base file of a job and a member of a group."""
    (conf / "finetune_teacher.yaml").write_bytes(base)
    (conf / "task" / "odd.yaml").write_bytes(member)
    answer(TeacherJob, ["task=odd"], conf)


@pytest.mark.parametrize(
    "content",
    [
        *("defaults: 5", "defaults: [[1]]", "defaults: [task: a]", "defaults: a", "defaults: ''", "defaults: ${task}"),
        *("defaults: {task: '${seed}'}", "defaults: {task: null}", "defaults: {task: {a: 1}}", "defaults: {task: [a]}"),
        *("defaults: {task: ../odd}", "defaults: {task: /etc/passwd}", "defaults: &a {task: *a}", 'defaults: "\\0"'),
        *("defaults: {experiment: a}", f"defaults: {{task: {'x' * 5000}}}", "1", "text", "- a", "\0", "seed: !!bool x"),
    ],
)
def test_odd_defaults_and_files_are_refused(conf, content):
    """A number, a list, a circle, a path that leaves the folder, what is no section."""
    (conf / "dq_sweep.yaml").write_text(content)
    assert isinstance(answer(SweepJob, [], conf), UserError)


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        (f"seed={2**63}", f"at most {2**63 - 1}"),
        ("seed=1e999", "type int"),
        (f"seed={HUGE}", "at most 100"),
        (f"teacher.learning_rate={'9' * 99}", None),
        (f"teacher.learning_rate='{HUGE}'", "a finite number"),
        (f"student.max_steps={2**31}", f"at most {2**31 - 1}"),
        (f"sweep.students=[{{depth: 6-3, encoder_map: [{2**31}]}}]", f"at most {2**31 - 1}"),
        ("sweep.seeds=10000000", "at most 10,000"),
        (f"sweep.seeds=[0,{2**63}]", f"at most {2**63 - 1}"),
        ("sweep.seeds=[0,9223372036854775807]", None),
        (f"sweep={{seeds: 200, learning_rates: [{','.join(f'1e-{n}' for n in range(1, 90))}]}}", "at most 10,000"),
        ("sweep.depths=[10000-1]", "encoder-decoder layers"),
        ("sweep.depths=['6-3\n']", "encoder-decoder layers"),
        ("sweep.schemes=['\uff18-8-8']", "three numbers"),
        ("teacher.epochs=10001", "at most 10000"),
        ("model.vocab_size=1048577", "at most 1048576"),
        ("model.architecture.d_model=2147483644", "at most 1048576"),
        ("cluster.num_workers=1000000", "at most 10000"),
        ("cluster.wait_seconds=1e300", "at most 1"),
        (f"task.name={'x' * 140_000}", "at most 131,072"),
        (f"task.source_prefix={'x' * 130_000}", None),
        ("task.labels=[" + "a," * 10_001 + "]", "YAML values"),
        ("task.name=\udcff", "YAML values"),
        ('task.name="\\ud800"', "YAML values"),
        ('task.name="\\0"', "whole Unicode"),
        ('task.corpus.files={"\\0": a}', "whole Unicode"),
        ("sweep.search=\ud800", "whole Unicode"),
        ("sweep.search=\udcff", None),
        ("task.corpus.files={010: a, no: b}", None),
        ("task" + ".task" * 5000 + "=1", "at most 20 names"),
        (f"task={'x' * 5000}", "docstrings"),
        ("student.learning_rate=١٢", "type float"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_every_setting_has_bounds(word, allowed):
    """Named in the refusal, before anything is made of the value."""
    answered = answer(SweepJob, [word])
    assert isinstance(answered, UserError) == (allowed is not None)
    assert allowed is None or allowed in answered.allowed


def test_a_section_over_a_list_is_refused():
    """Where the schema has neither: both are given, and neither fits."""
    words = ["student.max_steps=[1]", "student.max_steps={a: 1}", "sweep.recipes=[best]"]
    assert isinstance(answer(SweepJob, words), UserError)


def test_a_recipe_of_the_grid_may_refer_to_other_settings():
    """As the job's own may; a file of a recipe knows nothing but itself."""
    words = ["sweep.recipes=[best,dqbart]", "recipe.distillation.logits=${seed}", "seed=7"]
    assert load_config(SweepJob, words).sweep.variants["dqbart"]["distillation"]["reduction"] == "tensor"


def test_names_in_a_section_are_as_written():
    """What YAML takes for a number, a boolean or nothing, too."""
    config = load_config(SweepJob, ["task.corpus.files={010: a, no: b, null: c, 2001-01-01: d}"])
    assert list(config.task.corpus.files) == ["010", "no", "null", "2001-01-01"]


@pytest.mark.parametrize("nest", NESTS)
def test_what_is_no_text_can_be_written_as_one(nest):
    """The refusal's own way is taken."""
    quoted = yaml.safe_dump(nest, width=9999).removesuffix("\n...\n").strip()
    assert load_config(SweepJob, [f"task.source_prefix={quoted}"]).task.source_prefix == nest
