"""What of Agora is refused before anything is read."""

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import load_config
from pipeline.stages.agora.precheck import check_agora

WORDS = ["task=docstrings", "model=tiny"]


@pytest.fixture
def start(tmp_path):
    """A folder that a candidate may start from, as far as it is looked at."""
    return [*WORDS, f"agora.start={tmp_path}"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("recipe.distillation={task: 0, logits: 0}", "encoder_attention, encoder_hidden"),
        (
            "agora.candidate={label: a, recipe: {distillation: {task: 0, logits: 0}}}",
            "agora.start with recipe.distillation.task=0 and logits=0",
        ),
        ("recipe=dqbart", "reduction=tensor"),
        ("agora.candidate={label: a, recipe: {distillation: {reduction: tensor, logits_kind: mse}}}", "tensor"),
    ],
)
def test_a_start_of_another_shape_needs_losses_that_compare_no_layers(start, change, told):
    """Of the recipe as the candidate has it; its own teacher's candidate may compare layers alone."""
    with pytest.raises(UserError, match=told):
        check_agora(load_config(AgoraJob, [*start, change]))
    check_agora(load_config(AgoraJob, [*WORDS, change]))


def test_a_start_may_learn_from_references_alone(start):
    """Without a teacher nothing is compared."""
    check_agora(load_config(AgoraJob, [*start, "recipe.distillation={logits: 0}"]))
    check_agora(
        load_config(AgoraJob, [*start, "recipe.distillation={task: 0, logits: 0}", "agora.candidate.distil=false"])
    )
