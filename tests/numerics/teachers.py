"""Random teachers of every family, and the recipes that their students are packed with."""

from types import SimpleNamespace

import torch

from pipeline.config.sections.model import ArchitectureConfig
from pipeline.models.families import families
from pipeline.models.load import set_dropout

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
