"""What a student minimises: task loss plus distances to the teacher, each masked and divided by global token counts.

Layer distances are averaged over the student's layers, so a weight means the same at every depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.config.sections.recipe import DistillationConfig
from pipeline.data.batch import Batch
from pipeline.distillation import losses
from pipeline.distillation.recording import Relation, modules_named, recorded_outputs
from pipeline.distillation.relations import contrastive_sum, relation_kl_sum
from pipeline.models.forward import position_logits
from pipeline.training.engine import Engine
from pipeline.training.loop import TokenCounts

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
ATTENTION_LOSSES: dict[str, Loss] = {"mse": losses.attention_square_sum, "kl": losses.attention_kl_sum}
HIDDEN_LOSSES: dict[str, Loss] = {"mse": losses.mean_square_sum, "normalised": losses.normalised_square_sum}
# What transformers calls them in the output of a model with a decoder, and of an encoder alone.
SIGNALS = {
    "encoder_hidden": "encoder_hidden_states",
    "decoder_hidden": "decoder_hidden_states",
    "encoder_attention": "encoder_attentions",
    "decoder_attention": "decoder_attentions",
    "cross_attention": "cross_attentions",
}
ENCODER_SIGNALS = {"encoder_hidden": "hidden_states", "encoder_attention": "attentions"}


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What a model shows for one batch.

    Hidden states start with the embedding output: index i + 1 is layer i. `outputs` are those of the modules that were
    recorded, by name. A classifier has logits at one position and nothing of a decoder.
    """

    logits: Tensor
    encoder_hidden: tuple[Tensor, ...] = ()
    decoder_hidden: tuple[Tensor, ...] = ()
    encoder_attention: tuple[Tensor, ...] = ()
    decoder_attention: tuple[Tensor, ...] = ()
    cross_attention: tuple[Tensor, ...] = ()
    outputs: Mapping[str, Tensor] = field(default_factory=dict)


def signals_of(
    forward: Callable[..., Any],
    batch: Batch,
    *,
    attention: bool = True,
    hidden: bool = True,
    recorded: Mapping[str, nn.Module] | None = None,
) -> Signals:
    """Run a model on a batch.

    Args:
        forward: the model, or the forward pass of the engine around it.
        batch: its inputs.
        attention: whether attention maps are wanted; unasked for, none of them outlives its layer.
        hidden: whether hidden states are wanted.
        recorded: modules of the model whose outputs are wanted, too.
    """
    with recorded_outputs(recorded or {}) as outputs:
        output = forward(**batch.inputs, output_hidden_states=hidden, output_attentions=attention)
    names = SIGNALS if batch.decoder_input_ids is not None else ENCODER_SIGNALS
    internal = {name: getattr(output, of_output) or () for name, of_output in names.items()}
    return Signals(logits=position_logits(output), outputs=outputs, **internal)


@dataclass(frozen=True, kw_only=True)
class TaskObjective:
    """Cross-entropy with the references alone."""

    label_smoothing: float = 0.0
    needs_teacher: bool = False

    def __call__(self, engine: Engine, batch: Batch, signals: Any, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        logits = signals_of(engine.forward, batch, attention=False, hidden=False).logits
        total = losses.cross_entropy_sum(logits, batch.labels, self.label_smoothing)
        return {"task_loss": total / counts.num_target}

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class DistillationObjective:
    """Task loss plus distances to the teacher.

    Args:
        weights: weight of every term and what it compares.
        encoder_map: teacher layer of each encoder layer.
        decoder_map: teacher layer of each decoder layer.
        relations: side -> where its relations come from; there for every side whose weight is not 0.
        heads: kind of attention (encoder, decoder, cross) -> student layer -> heads of the teacher's layer that the
            student keeps; all of them where a layer is not named.
        label_smoothing: of the task loss.
        needs_teacher: always.
    """

    weights: DistillationConfig
    encoder_map: list[int]
    decoder_map: list[int]
    relations: Mapping[str, Relation] = field(default_factory=dict)
    heads: Mapping[str, Mapping[int, list[int]]] = field(default_factory=dict)
    label_smoothing: float = 0.0
    needs_teacher: bool = True

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """Names of the teacher's modules whose outputs the signals must hold."""
        return tuple(name for relation in self.relations.values() for name in relation.teacher)

    def __call__(self, engine: Engine, batch: Batch, signals: Signals, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        names = (name for relation in self.relations.values() for name in relation.student)
        student = signals_of(
            engine.forward,
            batch,
            attention=self.weights.compares_attention,
            hidden=self.weights.compares_hidden,
            recorded=modules_named(engine.module, names),
        )
        return {
            f"{name}_loss": weight / num_tokens * term()
            for name, (num_tokens, term) in self._terms(student, signals, batch, counts).items()
            if (weight := getattr(self.weights, name)) > 0
        }

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        return float(getattr(self.weights, term.removesuffix("_loss")))

    def _terms(
        self, student: Signals, teacher: Signals, batch: Batch, counts: TokenCounts
    ) -> dict[str, tuple[float, Callable[[], Tensor]]]:
        """Name of the weight -> tokens that the term is divided by, and the term."""
        source, num_source, encoder = batch.source_mask, counts.num_source, self.encoder_map
        target, num_target, decoder = batch.target_mask, counts.num_target, self.decoder_map
        attention, hidden = ATTENTION_LOSSES[self.weights.attention_kind], HIDDEN_LOSSES[self.weights.hidden_kind]

        def layers(name: str, loss: Loss, layer_map: list[int], mask: Tensor) -> Callable[[], Tensor]:
            def term() -> Tensor:
                theirs = [getattr(teacher, name)[layer] for layer in layer_map]
                for layer, heads in self.heads.get(name.removesuffix("_attention"), {}).items():
                    theirs[layer] = theirs[layer][:, heads]
                return _layer_mean(loss, getattr(student, name), theirs, mask)

            return term

        return {
            "task": (num_target, partial(self._task, student, batch.labels)),
            "logits": (num_target, partial(self._logits, student, teacher, target)),
            "encoder_attention": (num_source, layers("encoder_attention", attention, encoder, source)),
            "decoder_attention": (num_target, layers("decoder_attention", attention, decoder, target)),
            "cross_attention": (num_target, layers("cross_attention", attention, decoder, target)),
            "encoder_hidden": (num_source, layers("encoder_hidden", hidden, with_embedding(encoder), source)),
            "decoder_hidden": (num_target, layers("decoder_hidden", hidden, with_embedding(decoder), target)),
            "encoder_relations": (num_source, partial(self._relations, "encoder", student, teacher, source)),
            "decoder_relations": (num_target, partial(self._relations, "decoder", student, teacher, target)),
            "contrastive": (num_target, partial(self._contrastive, student, teacher, target)),
        }

    def _task(self, student: Signals, labels: Tensor) -> Tensor:
        return losses.cross_entropy_sum(student.logits, labels, self.label_smoothing)

    def _logits(self, student: Signals, teacher: Signals, mask: Tensor) -> Tensor:
        if self.weights.logits_kind == "mse":
            return losses.mean_square_sum(student.logits, teacher.logits, mask)
        return losses.logits_kl_sum(student.logits, teacher.logits, mask, self.weights.temperature)

    def _relations(self, side: str, student: Signals, teacher: Signals, mask: Tensor) -> Tensor:
        """The mean over queries, keys and values."""
        relation = self.relations[side]
        pairs = [
            (student.outputs[mine], teacher.outputs[theirs])
            for mine, theirs in zip(relation.student, relation.teacher, strict=True)
        ]
        return torch.stack([relation_kl_sum(mine, theirs, mask, relation.num_heads) for mine, theirs in pairs]).mean()

    def _contrastive(self, student: Signals, teacher: Signals, mask: Tensor) -> Tensor:
        temperature = self.weights.contrastive_temperature
        return contrastive_sum(student.decoder_hidden[-1], teacher.decoder_hidden[-1], mask, temperature)


def with_embedding(layer_map: list[int]) -> list[int]:
    """The map over hidden states: the embedding output imitates the embedding output."""
    return [0, *(layer + 1 for layer in layer_map)]


def _layer_mean(loss: Loss, student: tuple[Tensor, ...], teacher: list[Tensor], mask: Tensor) -> Tensor:
    pairs = zip(student, teacher, strict=True)
    return torch.stack([loss(mine, theirs, mask) for mine, theirs in pairs]).mean()
