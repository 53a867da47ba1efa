"""What the search must know of a teacher, read from its configuration: a model of it without memory says the sizes.

No family has code of its own here: names come from its adapter, numbers from the modules themselves, and what is found
is held against all parameters of the model.
"""

from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.config.errors import UserError
from pipeline.models.families import family_of
from pipeline.models.family import Family, LayerList
from pipeline.models.student import meta_model, sites_of
from pipeline.pruning.heads import count_heads, head_width
from pipeline.quantization.prepare import AttentionSite, Sites
from pipeline.search.student_sizes import teacher_parameters
from pipeline.search.teacher_shape import LinearShape, StackShape, TableShape, TeacherShape

# Operations per value, one for every step of the formula.
ACTIVATIONS = {
    "relu": 1,
    "tanh": 1,
    "silu": 4,  # x / (1 + exp(-x))
    "swish": 4,
    "quick_gelu": 5,  # x / (1 + exp(-1.702 x))
    "gelu": 5,  # x * 0.5 * (1 + erf(x / sqrt 2))
    "gelu_new": 8,  # 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
    "gelu_pytorch_tanh": 8,
    "gelu_fast": 8,
}
ACTIVATION_SETTINGS = ("activation_function", "dense_act_fn", "hidden_act")  # BART's kind; T5's; BERT's


def teacher_shape(model_config: PretrainedConfig) -> TeacherShape:
    """The shape of a teacher of any family.

    Args:
        model_config: its configuration.

    Raises:
        UserError: a configuration that no model is built from, an activation function whose operations are unknown, or
            a model with other parameters than the shape has.
    """
    try:
        model = meta_model(model_config)
    except ValueError as error:  # such as heads that do not divide the width
        change = "correct config.json of the teacher"
        raise UserError(f"a {model_config.model_type} model: {error}", "a configuration of a model", change) from error
    family, sites = family_of(model_config), sites_of(model)
    matrices = dict.fromkeys(sites.matrix_of.values())
    scales = {model.get_submodule(site.module).scaling for site in sites.attentions}
    shape = TeacherShape(
        hidden=model.get_submodule(sites.embeddings[0]).weight.shape[1],
        encoder=_stack(model, family, sites, family.encoder),
        decoder=None if family.decoder is None else _stack(model, family, sites, family.decoder),
        tables=tuple(_table(model, name) for name in matrices),
        output=None if sites.lm_head is None else sites.matrix_of[sites.lm_head],
        positions=tuple(_table(model, name) for name in sites.positions),
        token_types=int(getattr(model_config, "type_vocab_size", 0)),
        head=tuple(_linear(name, linear) for name, linear in _head(model, family, sites)),
        head_reads_targets=family.kind == "masked LM",
        head_norms=sum(name.startswith(_head_names(family)) for name, _ in _norms(model)),
        norm_shifts=all(getattr(norm, "bias", None) is not None for _, norm in _norms(model)),
        activation=_activation(model_config),
        scales_embeddings=bool(getattr(model_config, "scale_embedding", False)),
        scales_scores=scales != {1.0},
        scales_output=bool(getattr(model_config, "scale_decoder_outputs", False)),
        logits_bias=hasattr(model, "final_logits_bias") or _has_trained_bias(model, sites),
        trains_logits_bias=_has_trained_bias(model, sites),
    )
    _check(model, shape)
    return shape


def _stack(model: PreTrainedModel, family: Family, sites: Sites, stack: LayerList) -> StackShape:
    first = f"{stack.prefix}.0."
    attentions = [site for site in sites.attentions if site.module.startswith(first)]
    linears = [name for name in sites.linears if name.startswith(first)]
    of_attention = {
        name: (number, site)
        for number, site in enumerate(attentions)
        for name in (site.query, site.key, site.value, site.output)
    }
    into = [name for name in linears if name not in of_attention and name not in sites.post_activations]
    norms = [name for name, _ in _norms(model)]
    beside = [name for name in norms if not _is_inside(name, family) and not name.startswith(_head_names(family))]
    outer = [name for name in beside if name.startswith(_outer(family, stack))]
    relative = (
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.startswith(first) and any(part in name for part in family.first_layer_only)
    )
    types = int(hasattr(model.config, "type_vocab_size"))
    return StackShape(
        prefix=stack.prefix,
        layers=getattr(model.config, stack.setting),
        heads=count_heads(model, attentions[0]),
        head_width=head_width(model, attentions[0]),
        linears=tuple(_linear_of_layer(model, name, first, of_attention.get(name)) for name in linears),
        num_attentions=len(attentions),
        num_norms=sum(name.startswith(first) for name in norms),
        intermediate=_plain(model, into[0]).out_features,
        gated=len(into) > 1,
        relative_positions=sum(relative),
        num_added_tables=bool(sites.positions or family.computed) + types,
        num_outer_norms=len(outer),
    )


def _outer(family: Family, stack: LayerList) -> str:
    """The beginning of the names of what a stack has beside its layers; an encoder alone is the whole model."""
    return "" if family.decoder is None else stack.prefix.rpartition(".")[0] + "."


def _is_inside(name: str, family: Family) -> bool:
    return any(name.startswith(f"{stack.prefix}.") for stack in family.stacks)


def _linear_of_layer(
    model: PreTrainedModel, name: str, first: str, attention: tuple[int, AttentionSite] | None
) -> LinearShape:
    """A linear of a layer, its heads told apart.

    Args:
        model: with this linear.
        name: of it.
        first: the beginning of the names of its layer.
        attention: number and site of the one that it belongs to, of its layer.
    """
    linear, short = _plain(model, name), name.removeprefix(first)
    if attention is None:
        return _linear(short, linear)
    number, site = attention
    width, bias = head_width(model, site), linear.bias is not None
    if name == site.output:
        return LinearShape(name=short, inputs_per_head=width, outputs=linear.out_features, bias=bias, attention=number)
    reads_source = site.kind == "cross" and name != site.query
    return LinearShape(
        name=short,
        inputs=linear.in_features,
        outputs_per_head=width,
        bias=bias,
        attention=number,
        reads_source=reads_source,
    )


def _linear(name: str, linear: nn.Linear) -> LinearShape:
    has_bias = linear.bias is not None
    return LinearShape(name=name, inputs=linear.in_features, outputs=linear.out_features, bias=has_bias)


def _plain(model: PreTrainedModel, name: str) -> nn.Linear:
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _table(model: PreTrainedModel, name: str) -> TableShape:
    return TableShape(name=name, rows=model.get_submodule(name).weight.shape[0])


def _head_names(family: Family) -> tuple[str, ...]:
    """Beginnings of the names of what lies behind an encoder; none: no name starts with it."""
    return tuple(name.removesuffix(".") for name in family.head)


def _head(model: PreTrainedModel, family: Family, sites: Sites) -> list[tuple[str, nn.Linear]]:
    """The linears of an encoder's head but for the output projection, in the order in which they are applied."""
    linears = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return [(name, one) for name, one in linears if name.startswith(_head_names(family)) and name != sites.lm_head]


def _has_trained_bias(model: PreTrainedModel, sites: Sites) -> bool:
    """Whether the output projection has a bias that is a parameter."""
    return sites.lm_head is not None and getattr(model.get_submodule(sites.lm_head), "bias", None) is not None


def _norms(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Modules with one weight per value."""
    weights = [(name, module, module._parameters.get("weight")) for name, module in model.named_modules()]
    return [(name, module) for name, module, weight in weights if weight is not None and weight.ndim == 1]


def _activation(model_config: PretrainedConfig) -> int:
    name = next(getattr(model_config, setting) for setting in ACTIVATION_SETTINGS if hasattr(model_config, setting))
    if name not in ACTIVATIONS:
        change = "search with a teacher that has one of them"
        raise UserError(f"the activation function '{name}'", f"one of {', '.join(sorted(ACTIVATIONS))}", change)
    return ACTIVATIONS[name]


def _check(model: PreTrainedModel, shape: TeacherShape) -> None:
    """Refuse a model that has more or less than the shape says."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if trained != (counted := teacher_parameters(shape).total):
        raise UserError(
            f"a {model.config.model_type} model with {trained} parameters, of which the search knows {counted}",
            "a model whose layers are all alike, with the parts of its family",
            "search with another teacher",
        )
