"""Settings of Agora that others make useless."""

from __future__ import annotations

import dataclasses

from pipeline.config.ignored import say_ignored
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.sections.agora import REPEAT, AgoraConfig
from pipeline.config.sections.recipe import LAYER_TERMS
from pipeline.stages.sweep.plan.checks import say_without_decoder, say_without_terms

BY_RATE = {"word_dropout", "word_swap", "span_refill"}  # generators that change a part of the words
# Settings of a hyper-parameter set, and the axis that lists them.
AXES = {
    "learning_rate": "learning_rates",
    "weight_decay": "weight_decays",
    "warmup_fraction": "warmup_fractions",
    "batch_tokens": "batch_tokens",
}
OF_TRAINING = ("candidate", "start", "theta", "max_rounds")  # what a single round has a use for


def say_useless(config: AgoraJob) -> None:
    """Warn of settings that do nothing under the others, and of losses that the candidate cannot have."""
    say_ignored(config, ignored(config))
    agora = config.agora
    if agora.start and agora.candidate.distil:
        weights = agora.candidate.recipe_under(config.recipe).distillation
        say_without_terms("agora.start", weights, LAYER_TERMS, "a model of another shape imitates logits alone")
    else:
        say_without_decoder(config, [agora.candidate])


def ignored(config: AgoraJob) -> dict[str, str]:
    """Dotted name of a setting -> what makes it useless."""
    agora, found = config.agora, dict[str, str]()
    for name, axis in AXES.items():
        if getattr(agora.theta, axis):
            found[f"student.{name}"] = f"agora.theta.{axis}"
    if agora.max_rounds == 1:
        names = (setting.name for setting in dataclasses.fields(agora) if setting.name not in OF_TRAINING)
        return found | {f"agora.{name}": "agora.max_rounds=1, which adds nothing" for name in names}
    if config.task.facts.has_labels and agora.points in ("mistakes", "disagreement"):
        found["agora.worst"] = f"task.objective={config.task.objective}, whose answers are right or wrong"
    return found | {f"agora.{name}": why for name, why in _of_points(agora).items()}


def _of_points(agora: AgoraConfig) -> dict[str, str]:
    """What points and generators have no use for, and patience where there are few rounds."""
    found = {}
    if agora.points in ("all", "random"):
        found["worst"] = f"agora.points={agora.points}"
    if agora.points == "all":
        found["max_points"] = "agora.points=all"
    generators = f"agora.generators=[{', '.join(agora.generators)}]"
    if agora.generators == [REPEAT]:
        found |= dict.fromkeys(("num_per_point", "rate", "bounds"), generators)
    elif not BY_RATE & set(agora.generators):
        found["rate"] = generators
    if agora.generators == ["back_translation"]:
        found["num_per_point"] = f"{generators}, which makes one text of a point"
    # The first round improves on nothing, and after the last one it ends anyway.
    if agora.patience is not None and agora.patience > agora.max_rounds - 2:
        found["patience"] = f"agora.max_rounds={agora.max_rounds}, which ends it before"
    return found
