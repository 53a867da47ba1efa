"""Random teachers of every family, configurations like published ones, and recipes that students are packed with."""

from types import SimpleNamespace

import torch
from transformers import BartConfig, MarianConfig, MT5Config, T5Config

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.models.families import families, family_of
from pipeline.models.load import set_dropout
from pipeline.models.token_tables import remember_tables

# Every family as every kind of model that it can be: name -> adapter.
ADAPTERS = families() | {
    f"{name} as a {one.kind}": one for name, usual in families().items() for one in usual.other_kinds
}

SHAPE = ArchitectureConfig(
    d_model=32, ffn_dim=64, num_heads=4, encoder_layers=3, decoder_layers=3, max_positions=48, init_std=0.1
)
RECIPES = {
    "best": {},
    "dqbart": {
        "weight_granularity": "per_tensor",
        "activation_granularity": "per_tensor",
        "clip_value": 2.5,
        "probabilities": "signed",
        "lm_head": False,
        "position_bits": 32,
        "as_published": True,
    },
    "groups": {"weight_granularity": "group_32", "embedding_granularity": "group_32"},
}
# Published quantizers know no single bit.
SCHEMES = {"best": ["2-2-8", "8-4-8", "1-1-8", "32-32-8"], "dqbart": ["2-2-8", "8-4-8", "32-32-8"]}
CASES = [(scheme, recipe) for recipe in RECIPES for scheme in SCHEMES.get(recipe, SCHEMES["best"])]


class Words(SimpleNamespace):
    """As much of a tokenizer as a configuration from scratch asks for."""

    def __len__(self):
        """Size of the vocabulary."""
        return 203


def random_teacher(family, tokenizer=None):
    """A random 3-3 model of the family (3 layers without a decoder), biases and norms not at their start."""
    config = family.from_scratch(SHAPE, tokenizer or Words(bos_token_id=0, pad_token_id=1, eos_token_id=2))
    config._attn_implementation = "eager"
    torch.manual_seed(3)
    model = family.model_class(config)
    set_dropout(model, 0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def maps(family, *layers):
    """The same layers in every stack of the family."""
    return [list(layers), list(layers) if family.decoder else []]


def with_own_tables(config, *users):
    """A configuration in which some users of token matrices have one of their own."""
    remember_tables(config, family_of(config).usual_tables(config) | {user: user for user in users})
    return config


BART_LIKE = {"vocab_size": 31, "d_model": 16, "encoder_layers": 3, "decoder_layers": 2, "pad_token_id": 1}
T5_LIKE = {"vocab_size": 31, "d_model": 16, "d_kv": 6, "d_ff": 20, "num_layers": 3, "num_decoder_layers": 2}
T5_LIKE |= {"num_heads": 4}
PUBLISHED = {
    "bart, stacks that differ": lambda: BartConfig(
        **BART_LIKE,
        max_position_embeddings=64,
        encoder_attention_heads=4,
        decoder_attention_heads=8,
        encoder_ffn_dim=20,
        decoder_ffn_dim=24,
    ),
    "marian, two vocabularies": lambda: MarianConfig(
        **BART_LIKE,
        decoder_vocab_size=37,
        share_encoder_decoder_embeddings=False,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        activation_function="swish",
    ),
    "t5, heads that do not divide": lambda: T5Config(**T5_LIKE, relative_attention_num_buckets=10),
    "t5, gates and a head of its own": lambda: with_own_tables(
        T5Config(**T5_LIKE, feed_forward_proj="gated-gelu"), "lm_head"
    ),
    "mt5, a head of its own": lambda: with_own_tables(MT5Config(**T5_LIKE), "lm_head"),
}


def config_named(name):
    """A small configuration: of a family as it is made from scratch, or like published ones."""
    words = Words(bos_token_id=0, pad_token_id=1, eos_token_id=2)
    config = PUBLISHED[name]() if name in PUBLISHED else ADAPTERS[name].from_scratch(SHAPE, words)
    config._attn_implementation = "eager"
    return config
