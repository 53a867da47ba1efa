"""What is known of a pre-training before anything heavy is imported."""

import subprocess
import sys

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import load_config
from pipeline.stages.pretrain.precheck import check_pretraining, small_model

TEXTS = ("task=docstrings", "task.objective=masked_lm", "task.max_source_tokens=64", "model=tiny_encoder")


def mistakes(*words):
    with pytest.raises(UserError) as caught:
        check_pretraining(load_config(PretrainJob, [*TEXTS, *words]))
    return [str(error) for error in caught.value.errors]


def test_all_mistakes_are_told_at_once():
    """Of the small model, of the teacher, of paths."""
    found = mistakes("pretraining.family=t5", "teacher.epochs=0", "model.tokenizer=/nowhere")
    assert len(found) == 3
    assert any("pretraining.family=t5" in one for one in found)
    assert any("a teacher from scratch that is not trained" in one for one in found)


def test_a_task_that_hides_nothing_is_told_alone():
    """Of another kind of model nothing else is a matter."""
    (found,) = mistakes("task.objective=supervised", "model=tiny", "pretraining.family=t5")
    assert "task.objective=supervised, whose models are no masked LMs. Allowed: masked_lm" in found


def test_the_small_model_is_of_the_teachers_family_unless_told_otherwise():
    """From scratch in the shape that is asked for; what is started from has its own."""
    config = load_config(PretrainJob, [*TEXTS, "pretraining.architecture={encoder_layers: 2, d_model: 64}"])
    model = small_model(config, "bert")
    assert (model.family, model.pretrained, model.name) == ("bert", None, "2-8-64-768")
    assert (model.architecture.encoder_layers, model.architecture.d_model) == (2, 64)
    started = small_model(load_config(PretrainJob, [*TEXTS, "pretraining.start=owner/model"]), "bert")
    assert (started.family, started.pretrained) == (None, "owner/model")
    other = small_model(load_config(PretrainJob, [*TEXTS, "pretraining.family=roberta"]), "bert")
    assert other.family == "roberta"


def test_the_published_shape_and_losses_are_the_defaults():
    """Bort's: 4 layers, 8 heads, 1024 wide, 768 between; 0.1 CE + 0.5 KL at 2."""
    config = load_config(PretrainJob, list(TEXTS))
    assert small_model(config, "roberta").name == "4-8-1024-768"
    weights = config.pretraining.weights
    assert (weights.task, weights.logits, weights.temperature) == (0.1, 0.5, 2.0)
    others = ("encoder_attention", "encoder_hidden", "encoder_relations", "cross_attention", "contrastive")
    assert not any(getattr(weights, name) for name in others)
    check_pretraining(config)


def test_nothing_heavy_is_imported():
    """Mistakes are told in half a second."""
    program = "import sys\nfrom pipeline.stages.pretrain.precheck import check_pretraining\n"
    program += "print([name for name in ('torch', 'transformers', 'datasets', 'mlflow', 'ray') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
