"""Law 4 and tied weights: preparing changes what is read, never the parameters; quantized weights are never stale."""

import pytest
import torch
from torch import nn

from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.models.load import set_dropout
from pipeline.models.student import prepare_student
from pipeline.quantization.attention import AttentionFakeQuantize, quantized_attention
from pipeline.quantization.blocks import TENSOR
from pipeline.quantization.fake_quantize import WeightFakeQuantize, round_trip, set_weight_caching
from pipeline.quantization.quantizers import Symmetric, Ternary
from pipeline.quantization.scheme import scheme_of
from pipeline.training.engine import TorchEngine
from pipeline.training.optim import adamw

USERS = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")


def forward(model, batch):
    return model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        decoder_input_ids=batch.decoder_input_ids,
        labels=batch.labels,
        use_cache=False,
    )


@pytest.fixture
def prepared(make_bart):
    def make(scheme: str, **quantization):
        model = make_bart(2, 2)
        prepare_student(model, scheme_of(scheme, QuantizationConfig(**quantization)))
        return model

    return make


def test_a_scheme_of_32_bits_is_the_plain_model(make_bart, prepared, tiny_batch):
    """Forward, backward and one AdamW step with dropout, bit for bit."""
    plain, wrapped = make_bart(2, 2), prepared("32-32-32")
    results = []
    for model in (plain, wrapped):
        set_dropout(model.train(), 0.1)
        torch.manual_seed(0)
        optimiser = adamw(model.parameters(), TrainConfig(weight_decay=0.1))
        output = forward(model, tiny_batch)
        output.loss.backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        optimiser.step()
        results.append([output.loss.detach(), output.logits.detach(), *gradients, *model.state_dict().values()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8", "32-8-32", "4-32-4", "32-32-32"])
def test_preparing_changes_no_parameter_and_no_name(make_bart, prepared, scheme):
    """Shadow weights keep their place in the state dict, so checkpoints of both fit each other."""
    plain, wrapped = make_bart(2, 2).state_dict(), prepared(scheme).state_dict()
    assert list(plain) == list(wrapped)
    assert all(torch.equal(plain[name], wrapped[name]) for name in plain)


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
def test_every_linear_and_embedding_reads_a_quantized_weight(prepared, scheme):
    """Also the LM head, at the bits of the scheme."""
    model = prepared(scheme)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            most_levels = max(row.unique().numel() for row in module.weight.detach())
            bits = 8 if "positions" in name else int(scheme[0])
            assert most_levels <= 2**bits - 1, name
            assert not torch.equal(module.weight, module.shadow_weight), name


def test_a_tied_matrix_is_one_parameter_with_one_quantizer_for_all_its_users(prepared):
    """Quantized once, whoever asks."""
    model = prepared("2-2-8")
    users = [model.get_submodule(name) for name in USERS]
    assert len({id(user.shadow_weight) for user in users}) == 1
    assert len({id(user.weight_quantize) for user in users}) == 1
    assert len({user.weight.data_ptr() for user in users}) == 1
    assert [n for n, p in model.named_parameters() if p is users[0].shadow_weight] == ["model.shared.weight"]


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
def test_the_gradient_of_a_tied_matrix_is_the_sum_over_all_its_users(prepared, tiny_batch, scheme):
    """Encoder, decoder and LM head each contribute."""
    tied, untied = prepared(scheme).double(), prepared(scheme).double()
    for name in USERS[1:]:
        user = untied.get_submodule(name)
        user._parameters["weight"] = nn.Parameter(user.shadow_weight.detach().clone())
        user.weight_quantize = WeightFakeQuantize(user.weight_quantize.quantizer, user.shadow_weight)
    for model in (tied, untied):
        forward(model, tiny_batch).loss.backward()
    parts = [untied.get_submodule(name).shadow_weight.grad for name in USERS[1:]]
    assert all(part.abs().max() > 1e-4 for part in parts)
    assert torch.allclose(tied.lm_head.shadow_weight.grad, sum(parts), rtol=0, atol=1e-12)


def test_a_quantized_weight_is_computed_once_per_optimiser_step_and_anew_after_it(prepared, tiny_batch):
    """Micro-batches share it; the step drops it."""
    model = prepared("8-8-8")
    layer = model.get_submodule("model.encoder.layers.0.fc1")
    engine = TorchEngine(model, adamw(model.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=1.0)
    before, pointer = layer.weight.detach().clone(), layer.weight.data_ptr()
    for _ in range(2):
        engine.backward(forward(model, tiny_batch).loss)
        assert layer.weight.data_ptr() == pointer
    engine.step(1e-2)
    assert not torch.equal(layer.weight, before)
    assert torch.equal(layer.weight, round_trip(layer.shadow_weight.detach(), layer.weight_quantize.quantizer).values)


def test_without_caching_nothing_is_left_of_a_layer_s_forward(prepared):
    """ZeRO-3 frees whole parameters when a layer has ended; until then it may read its weight several times."""
    model = prepared("2-2-8")
    cached = model.lm_head.weight.detach().clone()
    set_weight_caching(model, False)
    assert torch.equal(model.lm_head.weight, cached)
    model.lm_head(torch.zeros(1, cached.size(1)))
    assert model.lm_head.weight_quantize._cached is None


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-4"])
def test_attention_multiplies_quantized_operands_and_returns_probabilities_that_sum_to_one(scheme):
    """What is distilled is the probabilities before quantization; what multiplies the values is quantized."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, 5, 8, generator=generator) for _ in range(3))
    mask = torch.zeros(2, 1, 1, 5)
    mask[1, :, :, 3:] = torch.finfo(torch.float32).min
    settings = scheme_of(scheme, QuantizationConfig())
    module = nn.Module().eval()
    module.attention_quantize = AttentionFakeQuantize(settings)
    output, probabilities = quantized_attention(module, query, key, value, mask)
    signed = Symmetric(bits=int(settings.activation_bits))
    unsigned = Symmetric(bits=int(settings.activation_bits), signed=False)
    q, k, v = (round_trip(x, signed).values for x in (query * 8**-0.5, key, value))
    expected = (q @ k.transpose(2, 3) + mask).softmax(dim=-1)
    assert torch.equal(probabilities, expected)
    assert torch.allclose(probabilities.sum(dim=-1), torch.ones(2, 4, 5), rtol=0, atol=1e-6)
    assert not probabilities[1, ..., 3:].any()
    assert torch.equal(output, (round_trip(expected, unsigned).values @ v).transpose(1, 2))


@pytest.mark.parametrize("as_published", [False, True])
def test_probabilities_are_dropped_after_they_are_quantized_or_as_published_before(as_published):
    """In training only; what is distilled is whole, and the draws are torch's own."""
    settings = {"activation_granularity": "per_tensor", "probabilities": "signed", "as_published": as_published}
    module, grid = nn.Module().train(), Symmetric(bits=8, blocks=TENSOR, as_published=as_published)
    module.attention_quantize = AttentionFakeQuantize(scheme_of("8-8-8", QuantizationConfig(**settings)))
    query, key, value = (torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    torch.manual_seed(1)
    output, probabilities = quantized_attention(module, query, key, value, None, dropout=0.5)
    torch.manual_seed(1)
    kept = nn.functional.dropout(torch.ones_like(probabilities), 0.5)

    def quantized(x):
        return round_trip(x, grid).values

    assert 0 < (kept == 0).float().mean() < 1
    weights = quantized(probabilities * kept) if as_published else quantized(probabilities) * kept
    assert torch.equal(output, (weights @ quantized(value)).transpose(1, 2))
    expected = (quantized(query * 8**-0.5) @ quantized(key).transpose(2, 3)).softmax(dim=-1)
    assert torch.equal(probabilities, expected)
    whole, _ = quantized_attention(module.eval(), query, key, value, None, dropout=0.5)
    assert torch.equal(whole, (quantized(expected) @ quantized(value)).transpose(1, 2))


@pytest.mark.parametrize(("clip", "expected"), [(0.5, 0.5), (1.0, None), (2.5, None), (None, None)])
def test_a_clip_below_one_holds_for_probabilities_too(clip, expected):
    """Whatever their grid; a clip from 1 on would change nothing."""
    scheme = scheme_of("8-8-8", QuantizationConfig(clip_value=clip))
    assert scheme.probability_quantizer() == Symmetric(bits=8, clip_value=expected, signed=False)


def test_bits_can_be_set_by_module_name_and_the_last_match_counts(prepared):
    """First layer at 8 bits, its fc2 at 4, one projection left alone, the table with its head at 3."""
    names = ["model.encoder.layers.0.*=8", "*.layers.0.fc2=4", "model.decoder.layers.1.fc1=32", "model.shared=3"]
    model = prepared("2-2-8", bits=names)
    bits = {name: getattr(layer, "weight_quantize", None) for name, layer in model.named_modules()}
    bits = {name: quantize.quantizer.bits for name, quantize in bits.items() if quantize is not None}
    assert bits["model.encoder.layers.0.fc1"] == bits["model.encoder.layers.0.self_attn.k_proj"] == 8
    assert bits["model.encoder.layers.0.fc2"] == bits["model.decoder.layers.0.fc2"] == 4
    assert bits["model.encoder.layers.1.fc1"] == 2
    assert "model.decoder.layers.1.fc1" not in bits
    assert {bits[name] for name in USERS} == {3}


def test_two_bits_are_ternary_and_embeddings_always_have_a_scale_per_row(prepared):
    """Also where the recipe asks for one scale per matrix."""
    model = prepared("2-4-8", weight_granularity="per_tensor")
    used = {
        name: module.weight_quantize.quantizer
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, nn.Embedding))
    }
    assert all(used[name] == Symmetric(bits=4) for name in USERS)
    assert used["model.encoder.embed_positions"] == Symmetric(bits=8)
    assert used["model.decoder.layers.0.fc1"] == Ternary(blocks=TENSOR)
    assert prepared("2-2-8", weight_granularity="per_tensor").lm_head.weight_quantize.quantizer == Ternary()
