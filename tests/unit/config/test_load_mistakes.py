"""A mistake on the command line: refused before anything starts, saying what was given, allowed and meant."""

import pickle
from dataclasses import fields
from itertools import pairwise

import pytest

from pipeline.config import former_names
from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.jobs.compare import CompareJob
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.config.jobs.generate import GenerateJob
from pipeline.config.load import load_config
from pipeline.config.sections.recipe import DistillationConfig

STUDENTS = "sweep.students"
WRONG_TYPES = ["seed=abc", "seed=1.5", "seed=true", "seed=", "seed=null", "student.epochs=3.0", "student.dropout=much"]
WRONG_TYPES += ["recipe.quantization.attention=1", "seed.x=3"]
WRONG_TYPES += ["sweep.seeds=null", "sweep.students=3", "sweep.students=null", "evaluation.max_examples=all"]
NO_SECTIONS = ["student=3", "student=null", "student=[1]", "sweep=[]", "task.decoding=[1]", "task.corpus.files=[a]"]
NO_SECTIONS += [
    "sweep=3",
    "recipe=[]",
    "recipe.distillation=2",
    "sweep.students=[3]",
    "sweep.students[0].scheme=2-2-8",
    "sweep.students.0.scheme=2-2-8",
    "storage=/x",
]
OUT_OF_RANGE = ["seed=-1", "student.dropout=0.91", "student.dropout=-0.1", "student.learning_rate=nan"]
OUT_OF_RANGE += ["teacher.beta2=1", "student.learning_rate=.inf", "student.batch_tokens=15", "cluster.zero_stage=4"]
OUT_OF_RANGE += ["recipe.quantization.position_bits=5", "task.decoding.num_beams=0", "evaluation.split=train"]
# Of the terms and kinds that DQ-BART's loss does not know: word, and what it must be.
UNPUBLISHED = [("logits_kind=kl", "mse"), ("attention_kind=kl", "mse"), ("hidden_kind=normalised", "mse")]
UNPUBLISHED += [("encoder_relations=1", "0.0"), ("decoder_relations=0.5", "0.0"), ("contrastive=1", "0.0")]
UNPUBLISHED += [("encoder_relation_layer=0", "null"), ("decoder_relation_layer=2", "null")]
UNPUBLISHED += [("relation_heads=4", "null"), ("contrastive_temperature=0.2", "0.1")]
# Anchors of anchors: a few lines of YAML that stand for a billion values.
LAUGHS = "".join(f", {name}: &{name} [{','.join(['*' + below] * 9)}]" for below, name in pairwise("abcdefghij"))
UNREADABLE = [
    "seed",
    "=3",
    "seed={",
    "seed=&a [*a]",
    "[=1",
    "seed=" + "[" * 3000,
    f"sweep.variants={{a: &a [x]{LAUGHS}}}",
]
UNREADABLE += ["model.pretrained=${foo}", "model.pretrained=${", "storage.path=${oc.env:NONE_}"]


def refusal(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(SweepJob, list(words))
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("student.learning_rat=1", "student.learning_rate"),
        ("studnt.dropout=0", "student"),
        ("recipe.quantization.clip=2", "recipe.quantization.clip_value"),
        ("sed=1", "seed"),
        (STUDENTS + "=[{schem: 2-2-8}]", STUDENTS + "[0].scheme"),
        ("task=docstring", "task=docstrings"),
        ("experiment=quick", "experiment=quickstart"),
        ("cluster.engine=deepsped", "cluster.engine=deepspeed"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_one(word, meant):
    """Keys, members of groups and allowed values."""
    message = refusal(word)
    assert f"did you mean {meant}?" in message.replace("'", "")
    assert "Allowed: " in message


@pytest.mark.parametrize("word", ["learning_rate=1", "scheme=2-2-8", "zero_stage=1"])
def test_a_key_without_its_section_is_found_in_its_section(word):
    """The likeliest mistake on a command line."""
    name = word.split("=")[0]
    assert f".{name}'?" in refusal(word)


@pytest.mark.parametrize("word", WRONG_TYPES)
def test_a_wrong_type_is_refused_by_its_key(word):
    """Nothing is rounded, truncated or read as something else."""
    assert word.split("=")[0].removesuffix(".x") in refusal(word)


@pytest.mark.parametrize("word", NO_SECTIONS)
def test_a_value_in_place_of_a_section_is_refused_by_its_key(word):
    """A number, a list, or a piece of a list."""
    assert word.split("=")[0].split("[")[0].removesuffix(".0.scheme") in refusal(word)


@pytest.mark.parametrize("word", OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_its_key(word):
    """With the bounds; the bounds themselves are allowed."""
    assert refusal(word).startswith(word.split("=")[0])


@pytest.mark.parametrize("word", ["seed=0", "student.dropout=0.9", "student.max_steps=0", "student.batch_tokens=16"])
def test_a_bound_is_allowed(word):
    """Inclusive on both sides."""
    load_config(SweepJob, [word])


@pytest.mark.parametrize(
    ("student", "part"),
    [
        ("scheme: 5-8-8", "5 weight bits"),
        ("scheme: 8-16-8", "16 embedding bits"),
        ("scheme: 8-8-3", "3 activation bits"),
        ("scheme: 1.5-8-8", "1.5 weight bits"),
        ("scheme: 2-2", "scheme '2-2'"),
        ("scheme: w2a8", "scheme 'w2a8'"),
        ("depth: 0-3", "depth '0-3'"),
        ("depth: 6-", "depth '6-'"),
        ("depth: '6-3-1'", "depth '6-3-1'"),
        ("encoder_map: 5", "encoder_map=5"),
    ],
)
def test_a_bad_scheme_or_depth_is_refused_with_an_example(student, part):
    """The message shows how an entry is written."""
    message = refusal(f"{STUDENTS}=[{{{student}}}]")
    assert part in message
    assert STUDENTS in message


@pytest.mark.parametrize(("word", "allowed"), UNPUBLISHED)
def test_the_published_loss_takes_no_later_term(word, allowed):
    """Refused with both ways out, and accepted with either."""
    key = f"recipe.distillation.{word.split('=')[0]}"
    message = refusal("recipe=dqbart", f"recipe.distillation.{word}")
    assert message.startswith(f"{key}=")
    assert f"Allowed: {allowed}, as published. Change: set {key}={allowed} or reduction=token." in message
    load_config(SweepJob, ["recipe=dqbart", f"{key}={allowed}"])
    load_config(SweepJob, ["recipe=dqbart", f"recipe.distillation.{word}", "recipe.distillation.reduction=token"])


def test_losses_that_are_all_off_are_refused_whatever_their_settings():
    """Kinds, heads, layers and temperatures are no losses; every option that may be 0 is one."""
    weights = [f.name for f in fields(DistillationConfig) if f.type == "float" and f.metadata["minimum"] == 0]
    assert len(weights) == 10
    off = [f"recipe.distillation.{name}=0" for name in weights]
    settings = ["relation_heads=2", "encoder_relation_layer=1", "hidden_kind=normalised", "contrastive_temperature=1"]
    assert "every weight 0" in refusal(*off, *(f"recipe.distillation.{word}" for word in settings))
    for name in weights:
        load_config(SweepJob, [*off, f"recipe.distillation.{name}=0.1"])


def test_a_sweep_with_twins_is_refused():
    """Twins would write the same run."""
    assert "twice" in refusal(STUDENTS + "=[{scheme: 2-2-8}, {scheme: 2-2-8}]")


@pytest.mark.parametrize("word", UNREADABLE)
def test_a_word_that_cannot_be_read_is_refused(word):
    """No sign, no key, broken YAML, an interpolation that leads nowhere."""
    assert "Change: " in refusal(word)


@pytest.mark.parametrize("name", ["../task/docstrings", "/etc/passwd", "", "."])
def test_a_group_member_is_a_name_not_a_path(name):
    """Nothing outside conf/ is read."""
    assert "unknown task" in refusal(f"task={name}")


def test_a_job_without_a_base_file_is_refused(tmp_path):
    """By the file that is missing."""
    with pytest.raises(UserError, match=r"dq_sweep\.yaml"):
        load_config(SweepJob, [], tmp_path)


@pytest.mark.parametrize(
    ("job", "word", "others"),
    [
        (
            CompareJob,
            "teacher.epochs=9",
            "agora_finetune, bort_pretrain, dq_sweep, finetune_teacher, ose_search, retrain",
        ),
        (SweepJob, "benchmark.kind=cohort", "benchmark"),
        (SweepJob, "student.validate_every_epochs=2", "nothing else"),
        (TeacherJob, "recipe=best", "agora_finetune, benchmark, dq_sweep, ose_search, retrain"),
        (TeacherJob, "tracking.register=name", "dq_sweep"),
        (
            BenchmarkJob,
            "model.pretrained=x",
            "agora_finetune, bort_pretrain, dq_sweep, finetune_teacher, ose_search, retrain",
        ),
        (
            GenerateJob,
            "seed=3",
            "agora_finetune, benchmark, bort_pretrain, dq_sweep, finetune_teacher, ose_search, retrain",
        ),
    ],
)
def test_a_setting_of_another_job_is_refused_and_told_whose_it_is(job, word, others):
    """What a job would ignore it does not take; a setting that no job has is answered with the nearest one."""
    with pytest.raises(UserError) as caught:
        load_config(job, [word])
    assert str(caught.value).startswith("unknown key '")
    expected = "did you mean" if others == "nothing else" else f"it is a setting of {others}, not of"
    assert expected in str(caught.value)


def test_a_file_that_several_jobs_read_may_set_what_one_of_them_has_no_use_for(caplog):
    """It is left out, and the job says so; what no job knows is a mistake."""
    with caplog.at_level("INFO"):
        config = load_config(TeacherJob, ["experiment=quickstart"])
    assert config.teacher == load_config(SweepJob, ["experiment=quickstart"]).teacher
    assert "experiment=quickstart also sets" in caplog.text and "finetune_teacher has no use for" in caplog.text


def test_an_old_name_is_understood_and_told_once(caplog):
    """On the command line, in the recipe of a student, in files; beside the new one it is a mistake."""
    former_names._say_renamed.cache_clear()
    old, new = (
        load_config(
            SweepJob,
            [
                f"recipe.{name}.clip_value=2.5",
                f"sweep.students=[{{label: a, recipe: {{{name}: {{lm_head: false}}}}}}]",
            ],
        )
        for name in ("quantisation", "quantization")
    )
    assert old.recipe == new.recipe and old.recipe.quantization.clip_value == 2.5
    assert old.sweep.students[0].recipe_under(old.recipe) == new.sweep.students[0].recipe_under(new.recipe)
    assert caplog.text.count("'recipe.quantisation' is called 'recipe.quantization' now") == 1
    assert "quantisation" in refusal("recipe.quantisation.clip_value=2", "recipe={quantisation: {}, quantization: {}}")


def test_numbers_people_write_are_numbers():
    """YAML reads 3e-4 as text and 1 as an integer."""
    assert load_config(SweepJob, ["student.learning_rate=3e-4"]).student.learning_rate == 3e-4
    assert load_config(SweepJob, ["student.learning_rate=1"]).student.learning_rate == 1.0


def test_a_user_error_has_three_parts_and_survives_pickling():
    """Ray carries it from a worker to the driver."""
    error = UserError("a=1.", "2", "write a=2")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "a=1. Allowed: 2. Change: write a=2."
