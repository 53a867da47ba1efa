"""Candidates of a plan: what they are called."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import load_config
from pipeline.stages.agora.plan import AgoraPlan, _thetas

OWN = "agora.candidate={scheme: 8-8-8, depth: 3-1, label: strict, recipe: {distillation: {logits: 2}}}"


def plan_of(*words):
    """A plan, as far as candidates need one."""
    config = load_config(AgoraJob, ["agora.candidate={scheme: 8-8-8, depth: 3-1}", *words])
    job = SimpleNamespace(config=config, storage=SimpleNamespace(agora=lambda key: Path("/storage") / key))
    parts = {"start": None, "start_config": None, "maps": ([0, 1, 2], [2])}
    return AgoraPlan(job=job, key="key", base_key="base", thetas=_thetas(config), **parts)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["8-8-8 3-1"]),
        (["agora.theta.weight_decays=[0, 0.1]"], ["8-8-8 3-1 weight_decay=0", "8-8-8 3-1 weight_decay=0.1"]),
        ([OWN], ["8-8-8 3-1 strict"]),
        ([OWN, "agora.theta.seeds=2"], ["8-8-8 3-1 strict seed=28", "8-8-8 3-1 strict seed=29"]),
    ],
)
def test_a_candidate_is_called_by_its_label_and_what_tells_its_set_from_others(words, names):
    """One with a recipe of its own needs the label, also where there is one hyper-parameter set."""
    plan = plan_of(*words)
    assert [plan.candidate(theta, []).name for theta in range(len(plan.thetas))] == names
