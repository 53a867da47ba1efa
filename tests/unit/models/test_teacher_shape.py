"""Shapes of teachers from configurations; tests/numerics/test_search_sizes.py holds their sizes to built models."""

import pytest
from torch import nn
from transformers import BartConfig, BertConfig, MarianConfig, T5Config

from pipeline.config.errors import UserError
from pipeline.models import teacher_shape as module
from pipeline.models.student import meta_model
from pipeline.models.teacher_shape import teacher_shape


def test_the_facts_of_bart_and_t5_differ_where_the_families_do():
    """Positions, norms, scales, gates."""
    bart, t5 = teacher_shape(BartConfig()), teacher_shape(T5Config(feed_forward_proj="gated-gelu"))
    assert (bart.norm_shifts, bart.scales_scores, bart.logits_bias, bart.encoder.gated) == (True, True, True, False)
    assert (t5.norm_shifts, t5.scales_scores, t5.logits_bias, t5.encoder.gated) == (False, False, False, True)
    assert [table.rows for table in bart.positions] == [1026, 1026] and t5.positions == ()
    assert bart.encoder.relative_positions == 0 and t5.encoder.relative_positions == 32 * 8
    assert (bart.encoder.num_added_tables, t5.encoder.num_added_tables) == (1, 0)


def test_sinusoids_are_added_and_are_no_parameters():
    """Marian computes its positions."""
    marian = teacher_shape(MarianConfig(scale_embedding=True))
    assert marian.positions == () and marian.encoder.num_added_tables == 1
    assert marian.scales_embeddings and marian.encoder.num_outer_norms == 0


def test_the_keys_of_an_attention_to_the_encoder_read_the_source():
    """And no other linear layer does."""
    decoder = teacher_shape(BartConfig()).decoder
    assert [one.name for one in decoder.linears if one.reads_source] == [
        "encoder_attn.k_proj",
        "encoder_attn.v_proj",
    ]


@pytest.mark.parametrize("config", [BartConfig(decoder_attention_heads=5), BertConfig(num_attention_heads=7)])
def test_heads_that_do_not_divide_the_width_are_refused(config):
    """In words of the configuration."""
    with pytest.raises(UserError, match=r"config\.json"):
        teacher_shape(config)


def test_an_activation_function_of_unknown_cost_is_refused():
    """With those that are known."""
    with pytest.raises(UserError, match=r"'mish'.*gelu"):
        teacher_shape(BertConfig(hidden_act="mish"))


def test_a_model_with_a_part_that_the_search_does_not_know_is_refused(monkeypatch):
    """Else its sizes would be wrong in silence."""
    model = meta_model(BartConfig())
    model.model.decoder.layers[3].adapter = nn.Linear(3, 4, device="meta")
    monkeypatch.setattr(module, "meta_model", lambda config: model)
    with pytest.raises(UserError, match=r"\d+ parameters, of which the search knows \d+"):
        teacher_shape(BartConfig())
