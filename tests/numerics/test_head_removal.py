"""Laws of head removal: it multiplies heads by 0, in every family; what is left decodes, trains, quantizes, packs."""

import copy

import pytest
import torch
from heads import PRUNED_FAMILIES, as_factors, factors_on, in_float64, losses_of, outputs_of, ragged
from torch import nn

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.pruning.heads import count_heads, head_width
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", PRUNED_FAMILIES)
def test_removing_heads_is_multiplying_them_by_zero(make_model, tiny_batch, family, attention):
    """With other heads left in every layer, the layers that share a position bias included."""
    model, sites = make_model(family, attention)
    whole = outputs_of(model, tiny_batch)
    for seed in range(3):
        kept, pruned = ragged(sites, seed), copy.deepcopy(model)
        with factors_on(model, sites, as_factors(kept)):
            expected = outputs_of(model, tiny_batch)
        remove_heads(pruned, sites, kept)
        assert torch.allclose(outputs_of(pruned, tiny_batch), expected, rtol=0, atol=1e-12)
        assert not torch.allclose(expected, whole, rtol=0, atol=1e-3)
        assert {site.module: count_heads(pruned, site) for site in sites.attentions} == {
            name: len(heads) for name, heads in kept.items()
        }


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_the_gradients_are_those_of_heads_multiplied_by_zero(make_model, tiny_batch, family):
    """Of everything that is left; T5's bias table stays whole and gets what the heads that are left give it."""
    model, sites = make_model(family)
    pruned, kept = copy.deepcopy(model), ragged(sites)
    remove_heads(pruned, sites, kept)
    outputs_of(pruned, tiny_batch).square().sum().backward()
    with factors_on(model, sites, as_factors(kept)):
        outputs_of(model, tiny_batch).square().sum().backward()
    linears = {name for site in sites.attentions for name in (site.query, site.key, site.value, site.output)}
    reference = dict(model.named_parameters())
    for name, parameter in pruned.named_parameters():
        if parameter.grad is None:
            assert reference[name].grad is None
        elif name.rpartition(".")[0] not in linears or parameter.shape == reference[name].shape:
            assert torch.allclose(parameter.grad, reference[name].grad, rtol=1e-9, atol=1e-9), name
    for site in sites.attentions:
        width = head_width(pruned, site)
        rows = [head * width + offset for head in kept[site.module] for offset in range(width)]
        for linear in (site.query, site.key, site.value):
            expected = model.get_submodule(linear).weight.grad[rows]
            assert torch.allclose(pruned.get_submodule(linear).weight.grad, expected, rtol=1e-9, atol=1e-9)
        expected = model.get_submodule(site.output).weight.grad[:, rows]
        assert torch.allclose(pruned.get_submodule(site.output).weight.grad, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", PRUNED_FAMILIES)
def test_removing_nothing_changes_nothing_bit_for_bit(make_model, tiny_batch, family):
    """The very parameters stay, so do classes."""
    model, sites = make_model(family)
    before, parameters = outputs_of(model, tiny_batch), dict(model.named_parameters())
    classes = [type(module) for module in model.modules()]
    remove_heads(model, sites, {})
    remove_heads(model, sites, {site.module: list(range(4)) for site in sites.attentions})
    assert torch.equal(outputs_of(model, tiny_batch), before)
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert [type(module) for module in model.modules()] == classes


@pytest.mark.parametrize("family", PRUNED_FAMILIES)
def test_heads_can_be_removed_again(make_model, tiny_batch, family):
    """Numbers count what is there: {1, 2, 3} and then {0, 2} of these are {1, 3}."""
    model, sites = make_model(family)
    once = copy.deepcopy(model)
    names = [site.module for site in sites.attentions][::2]
    for pruned, heads in ((model, [1, 2, 3]), (model, [0, 2]), (once, [1, 3])):
        remove_heads(pruned, sites, dict.fromkeys(names, heads))
    assert torch.equal(outputs_of(model, tiny_batch), outputs_of(once, tiny_batch))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), once.parameters(), strict=True))


@pytest.mark.parametrize("family", PRUNED_FAMILIES)
def test_the_parameters_removed_are_those_of_the_formula(make_model, family):
    """Per head: width times (inputs of query, key and value + outputs), and three runs of biases, if any."""
    model, sites = make_model(family)
    kept, before = ragged(sites), sum(p.numel() for p in model.parameters())
    expected = 0
    for site in sites.attentions:
        per_value = sum(model.get_submodule(name).in_features for name in (site.query, site.key, site.value))
        per_value += model.get_submodule(site.output).out_features
        per_value += 3 * (model.get_submodule(site.query).bias is not None)
        expected += (4 - len(kept[site.module])) * head_width(model, site) * per_value
    frozen = next(iter(kept))
    model.get_submodule(frozen).requires_grad_(False)
    remove_heads(model, sites, kept)
    assert before - sum(p.numel() for p in model.parameters()) == expected > 0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            assert module.weight.shape == (module.out_features, module.in_features)
            assert module.bias is None or module.bias.shape == (module.out_features,)
            assert module.weight.is_contiguous()
            assert module.weight.requires_grad != name.startswith(f"{frozen}.")


@pytest.mark.parametrize("family", PRUNED_FAMILIES)
def test_a_pruned_model_is_rebuilt_on_the_meta_device_and_takes_the_weights(make_model, tiny_batch, family):
    """Configuration, kept heads and state dict say everything."""
    model, sites = make_model(family)
    kept, expected_names = ragged(sites), list(model.state_dict())
    with torch.device("meta"):
        empty = type(model)(model.config)
        remove_heads(empty, sites, kept)
    remove_heads(model, sites, kept)
    state = model.state_dict()
    assert list(state) == expected_names
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == {
        name: tensor.shape for name, tensor in state.items()
    }
    assert all(parameter.is_meta for parameter in empty.parameters())
    rebuilt = in_float64(type(model)(model.config)).eval()
    remove_heads(rebuilt, sites, kept)
    rebuilt.load_state_dict(state)
    assert torch.equal(outputs_of(rebuilt, tiny_batch), outputs_of(model, tiny_batch))


@pytest.mark.parametrize("family", ["bart", "mbart", "marian", "pegasus", "t5", "mt5"])
@pytest.mark.parametrize("num_beams", [1, 3])
def test_decoding_with_a_cache_gives_the_same_tokens_as_without(make_model, tiny_batch, family, num_beams):
    """Every layer caches keys and values of its own heads."""
    model, sites = make_model(family)
    remove_heads(model, sites, ragged(sites))
    cached, uncached = [
        model.generate(
            input_ids=tiny_batch.input_ids,
            attention_mask=tiny_batch.attention_mask,
            num_beams=num_beams,
            do_sample=False,
            min_new_tokens=8,
            max_new_tokens=12,
            use_cache=use_cache,
            return_dict_in_generate=True,
            output_logits=True,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(cached.sequences, uncached.sequences)
    for step, reference in zip(cached.logits, uncached.logits, strict=True):
        assert torch.allclose(step, reference, rtol=0, atol=1e-10)


def test_gradient_checkpointing_gives_the_same_gradients(make_model, tiny_batch):
    """T5's layers run twice then; the bias that they hand on is the same."""
    model, sites = make_model("t5")
    remove_heads(model, sites, ragged(sites))
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        outputs_of(model, tiny_batch).square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    "kept",
    [
        {"model.encoder.layers.9.self_attn": [0]},
        {"model.encoder.layers.0": [0]},
        {"model.encoder.layers.0.self_attn": []},
        {"model.encoder.layers.0.self_attn": [0, 0]},
        {"model.encoder.layers.0.self_attn": [2, 1]},
        {"model.encoder.layers.0.self_attn": [0, 4]},
        {"model.encoder.layers.0.self_attn": [-1, 0]},
    ],
)
def test_bad_lists_are_refused_before_anything_changes(make_bart, kept):
    """A valid list before the bad one changes nothing, either."""
    model = make_bart(2, 2)
    with pytest.raises(UserError):
        remove_heads(model, sites_of(model), {"model.decoder.layers.0.self_attn": [0]} | kept)
    assert model.model.decoder.layers[0].self_attn.q_proj.out_features == 32


def test_a_quantized_model_grouped_queries_and_unknown_attention_are_refused(make_bart, make_model):
    """What removal would get wrong, or cannot know."""
    kept = {"model.encoder.layers.0.self_attn": [0]}
    model = make_bart(2, 2)
    prepare_student(model, scheme_of("2-2-8", QuantizationConfig()))
    with pytest.raises(UserError, match="quantized"):
        remove_heads(model, sites_of(model), kept)
    grouped = make_bart(2, 2)
    grouped.model.encoder.layers[0].self_attn.k_proj = nn.Linear(32, 16)
    with pytest.raises(UserError, match="sizes"):
        remove_heads(grouped, sites_of(grouped), kept)
    widthless = make_bart(2, 2)
    del widthless.model.encoder.layers[0].self_attn.head_dim
    with pytest.raises(UserError, match="width"):
        remove_heads(widthless, sites_of(widthless), kept)
    umt5, sites = make_model("umt5")
    with pytest.raises(UserError, match="position bias"):
        remove_heads(umt5, sites, {sites.attentions[0].module: [0]})


@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8", "32-32-32"])
def test_a_pruned_student_is_quantized_and_packed_like_any_other(make_bart, tiny_batch, scheme):
    """Fake-quantized and packed outputs agree bit for bit, gradients reach what is left."""
    student = build_student(make_bart(3, 3), [0, 2], [2], 0.0).eval()
    kept = ragged(sites_of(student))
    remove_heads(student, sites_of(student), kept)
    plain = outputs_of(student, tiny_batch)
    settings = scheme_of(scheme, QuantizationConfig())
    prepare_student(student, settings)
    losses_of(student, tiny_batch).sum().backward()
    for site in sites_of(student).attentions:
        assert student.get_submodule(site.query)._parameters["weight"].grad.any()
    before = outputs_of(student, tiny_batch).detach()
    assert torch.equal(before, plain) == (scheme == "32-32-32")
    convert(student, sites_of(student), settings)
    assert torch.equal(outputs_of(student, tiny_batch), before)
