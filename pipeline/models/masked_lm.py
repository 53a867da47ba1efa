"""Encoders that say which tokens were masked: logits where they are asked for, and nowhere else.

Over a vocabulary logits are most of what a small encoder computes and keeps; only one position in seven is a target.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput


class AtTargets(PreTrainedModel):  # type: ignore[misc]
    """Mix-in of transformers' masked LMs; they keep their name there, so that anybody can read what they save."""

    head_name: ClassVar[str]  # of the module that makes logits of the last layer's states

    def forward(self, *, target_positions: Tensor | None = None, **inputs: Any) -> MaskedLMOutput:
        """Logits at the positions of targets.

        Args:
            target_positions: (batch, targets), places among the source tokens; none: all places in their order.
            inputs: of the encoder: `input_ids` and `attention_mask`, (batch, source tokens), and what it shall show.

        Returns:
            logits (batch, targets, vocabulary), and hidden states and attentions if they were wanted.
        """
        output = self.base_model(**inputs)
        states: Tensor = output.last_hidden_state
        if target_positions is not None:
            states = states.gather(1, target_positions[..., None].expand(-1, -1, states.size(-1)))
        head = self.get_submodule(self.head_name)
        return MaskedLMOutput(logits=head(states), hidden_states=output.hidden_states, attentions=output.attentions)
