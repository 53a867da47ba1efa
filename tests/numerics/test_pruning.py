"""Laws of head pruning: removing a head is multiplying it by 0, in every family; importance and gates are what the
papers say; what is left can be decoded, quantised and packed."""

import copy
import math
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from pipeline.config.errors import NonFiniteError, UserError
from pipeline.config.recipe import QuantisationConfig
from pipeline.models.load import set_dropout
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.pruning.gates import HeadGates, hard_concrete, open_probability, settled
from pipeline.pruning.heads import count_heads, head_width
from pipeline.pruning.importance import head_importance, heads_to_keep
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.prepare import AttentionSite, Sites
from pipeline.quantization.scheme import scheme_of
from pipeline.training.random_stream import RandomStream

VOCAB_SIZE, PAD, EOS = 203, 1, 2
BART_LIKE = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
BART_LIKE |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "max_position_embeddings": 64}
T5_LIKE = {"d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 3, "num_heads": 4}
BERT_LIKE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
NAMELESS = {"kind": "", "layer": 0}
LINEARS = {"bart": ("q_proj", "k_proj", "v_proj", "out_proj"), "t5": ("q", "k", "v", "o")}
# family: model class, configuration class, shape, names of the linears.
FAMILIES = {
    "mbart": (MBartForConditionalGeneration, MBartConfig, BART_LIKE, "bart"),
    "marian": (MarianMTModel, MarianConfig, BART_LIKE, "bart"),
    "pegasus": (PegasusForConditionalGeneration, PegasusConfig, BART_LIKE, "bart"),
    "t5": (T5ForConditionalGeneration, T5Config, T5_LIKE, "t5"),
    "mt5": (MT5ForConditionalGeneration, MT5Config, T5_LIKE, "t5"),
    "umt5": (UMT5ForConditionalGeneration, UMT5Config, T5_LIKE, "t5"),
    "bert": (BertModel, BertConfig, BERT_LIKE, "bert"),
    "bert-decoder": (
        BertLMHeadModel,
        BertConfig,
        BERT_LIKE | {"is_decoder": True, "add_cross_attention": True},
        "bert",
    ),
    "roberta": (RobertaModel, RobertaConfig, BERT_LIKE, "bert"),
}
PRUNED_FAMILIES = ["bart", *(name for name in FAMILIES if name != "umt5")]


@pytest.fixture
def make_model(make_bart):
    """A tiny model of a family in float64 with non-zero biases, and its sites."""

    def make(family: str, attention: str = "eager"):
        if family == "bart":
            model = make_bart(3, 3, attn_implementation=attention).double()
            return model, sites_of(model)
        of_model, of_config, shape, linears = FAMILIES[family]
        tokens = {"bos_token_id": 0, "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": EOS}
        config = of_config(vocab_size=VOCAB_SIZE, **shape, **tokens, attn_implementation=attention)
        torch.manual_seed(0)
        model = in_float64(of_model(config)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model, attention_sites(model, linears)

    return make


def in_float64(model):
    """Also the norms of the T5 families, which are computed in fp32 whatever the model is in."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__.endswith("T5LayerNorm"):
                norm = nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                setattr(module, name, norm)
    return model.double()


def attention_sites(model, linears):
    """Sites with nothing but attention modules."""
    if linears == "bert":
        names = [name for name, _ in model.named_modules() if name.endswith("attention.self")]
        outputs = [name.removesuffix("self") + "output.dense" for name in names]
        found = [
            AttentionSite(**NAMELESS, module=n, query=f"{n}.query", key=f"{n}.key", value=f"{n}.value", output=output)
            for n, output in zip(names, outputs, strict=True)
        ]
    else:
        query, key, value, output = LINEARS[linears]
        names = [name.removesuffix(f".{query}") for name, _ in model.named_modules() if name.endswith(f".{query}")]
        found = [
            AttentionSite(
                **NAMELESS,
                module=n,
                query=f"{n}.{query}",
                key=f"{n}.{key}",
                value=f"{n}.{value}",
                output=f"{n}.{output}",
            )
            for n in names
        ]
    return Sites(linears=(), post_activations=(), embeddings=(), positions=(), lm_head="", attentions=tuple(found))


def outputs_of(model, batch):
    """Whatever a family puts first: logits, or hidden states of the last layer."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if model.config.is_encoder_decoder:
        inputs |= {"decoder_input_ids": batch.decoder_input_ids, "use_cache": False}
    elif model.config.add_cross_attention:
        states = torch.randn(
            len(batch.input_ids), 5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        inputs |= {"encoder_hidden_states": states, "use_cache": False}
    output = model(**inputs)
    return output.logits if "logits" in output else output.last_hidden_state


@contextmanager
def factors_on(model, sites, factors):
    """Multiply heads by factors, written out plainly: attention module -> (heads,)."""

    def hook_of(width, factor):
        def hook(_, inputs):
            parts = [part * f for part, f in zip(inputs[0].split(width, dim=-1), factor, strict=True)]
            return torch.cat(parts, dim=-1)

        return hook

    handles = [
        model.get_submodule(site.output).register_forward_pre_hook(
            hook_of(head_width(model, site), factors[site.module])
        )
        for site in sites.attentions
        if site.module in factors
    ]
    yield
    for handle in handles:
        handle.remove()


def ragged(sites, seed=0, heads=4):
    """Different heads, and different numbers of them, in every module; the first module loses some."""
    generator = torch.Generator().manual_seed(seed)
    kept = {}
    for index, site in enumerate(sites.attentions):
        order = torch.randperm(heads, generator=generator).tolist()
        kept[site.module] = sorted(order[: 1 + index % heads])
    return kept


def as_factors(kept, heads=4):
    return {name: [float(head in of_module) for head in range(heads)] for name, of_module in kept.items()}


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


def test_a_quantised_model_grouped_queries_and_unknown_attention_are_refused(make_bart, make_model):
    """What removal would get wrong, or cannot know."""
    kept = {"model.encoder.layers.0.self_attn": [0]}
    model = make_bart(2, 2)
    prepare_student(model, scheme_of("2-2-8", QuantisationConfig()))
    with pytest.raises(UserError, match="quantised"):
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


def losses_of(model, batch):
    """Cross-entropy with the reference summed over the tokens of each example, (batch,)."""
    loss = functional.cross_entropy(outputs_of(model, batch).transpose(1, 2), batch.labels, reduction="none")
    return loss.sum(dim=1)


def importance_of(model, sites, batches):
    return head_importance(model, sites, batches, lambda batch: losses_of(model, batch).sum())


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_importance_is_the_mean_size_of_the_slope_of_each_example(make_model, make_rows, batch_of, family):
    """Against central differences: every head is scaled by 1 +- h in turn."""
    model, sites = make_model(family)
    batch, step = batch_of(make_rows(5)), 1e-6  # small, or differences meet the kinks of T5's ReLU
    scores = importance_of(model, sites, [batch])
    assert list(scores) == [site.module for site in sites.attentions]
    for site in sites.attentions[::3]:
        slopes = []
        for head in range(4):
            losses = []
            for factor in (1 + step, 1 - step):
                factors = [factor if other == head else 1.0 for other in range(4)]
                with torch.no_grad(), factors_on(model, sites, {site.module: factors}):
                    losses.append(losses_of(model, batch))
            slopes.append(((losses[0] - losses[1]) / (2 * step)).abs().mean())
        expected = torch.stack(slopes)
        expected = expected / expected.norm()
        assert torch.allclose(scores[site.module], expected, rtol=0, atol=1e-6)
        assert torch.isclose(scores[site.module].norm(), torch.ones((), dtype=torch.float64))


def test_importance_does_not_depend_on_batching_or_padding(make_model, make_rows, batch_of):
    """One by one, all at once, or with a long row among them."""
    model, sites = make_model("bart")
    rows = make_rows(6)
    together = importance_of(model, sites, [batch_of(rows)])
    for split in (1, 2, 4):
        parts = [batch_of(rows[start : start + split]) for start in range(0, len(rows), split)]
        apart = importance_of(model, sites, parts)
        assert all(torch.allclose(apart[name], together[name], rtol=0, atol=1e-12) for name in together)
    # A long row whose loss is left out pads all others.
    long = batch_of([*rows, ([0, *[7] * 40, EOS], [*[7] * 30, EOS])])
    padded = head_importance(model, sites, [long], lambda batch: losses_of(model, batch)[:-1].sum())
    assert all(torch.allclose(padded[name], together[name], rtol=0, atol=1e-12) for name in together)


def test_importance_takes_the_size_before_the_mean(make_model, make_rows, batch_of):
    """Examples with opposite slopes add up; their mean slope would be 0."""
    model, sites = make_model("bart")
    batch = batch_of(make_rows(1) * 2)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    opposed = head_importance(model, sites, [batch], lambda batch: (losses_of(model, batch) * signs).sum())
    alike = importance_of(model, sites, [batch])
    assert all(torch.allclose(opposed[name], alike[name], rtol=0, atol=1e-12) for name in alike)


def test_importance_leaves_the_model_as_it_was(make_bart, tiny_batch):
    """Modes of single modules, gradients, hooks, frozen parameters; also after an error."""
    model = make_bart(2, 2).train()
    sites = sites_of(model)
    model.model.encoder.eval()
    model.model.shared.requires_grad_(False)
    losses_of(model, tiny_batch).sum().backward()
    modes = [module.training for module in model.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    with torch.no_grad():
        importance_of(model, sites, [tiny_batch])
    for exception, loss_of in ((ZeroDivisionError, lambda _: 1 / 0), (NonFiniteError, lambda b: nan_loss(model, b))):
        with pytest.raises(exception):
            head_importance(model, sites, [tiny_batch], loss_of)
    with pytest.raises(UserError):
        importance_of(model, sites, [])
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is None if gradient is None else torch.equal(parameter.grad, gradient)


def nan_loss(model, batch):
    return losses_of(model, batch).sum() * math.nan


def test_importance_needs_neither_gradients_nor_evaluation_mode_and_is_zero_of_unused_attention(make_bart, tiny_batch):
    """A teacher has no gradients, a student drops out; a loss on the encoder says nothing about the decoder."""
    model = make_bart(2, 2)
    sites = sites_of(model)
    expected = importance_of(model, sites, [tiny_batch])
    set_dropout(model.train().requires_grad_(False), 0.5)
    frozen = importance_of(model, sites, [tiny_batch])
    assert all(torch.equal(frozen[name], expected[name]) for name in expected)
    model.eval()

    def encoder_loss(batch):
        return model.model.encoder(batch.input_ids, batch.attention_mask).last_hidden_state.square().sum()

    scores = head_importance(model, sites, [tiny_batch], encoder_loss)
    assert all(score.any() == ("encoder.layers" in name) for name, score in scores.items())


def test_the_highest_scores_are_kept_over_all_modules():
    """ceil(keep x all), the minimum per module first, ties to the earlier module and the lower head."""
    scores = {"a": torch.tensor([0.9, 0.8, 0.7, 0.6]), "b": torch.tensor([0.1, 0.2, 0.2]), "c": torch.tensor([0.7])}
    assert heads_to_keep(scores, 1.0) == {"a": [0, 1, 2, 3], "b": [0, 1, 2], "c": [0]}
    assert heads_to_keep(scores, 0.5) == {"a": [0, 1], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.51) == {"a": [0, 1, 2], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.01) == {"a": [0], "b": [1], "c": [0]}
    assert heads_to_keep(scores, 0.5, min_heads=2) == {"a": [0, 1], "b": [1, 2], "c": [0]}
    equal = {"a": torch.ones(3), "b": torch.ones(3)}
    assert heads_to_keep(equal, 0.6) == {"a": [0, 1, 2], "b": [0]}
    assert sum(map(len, heads_to_keep({"a": torch.rand(100)}, 0.55).values())) == 55
    for keep, min_heads in ((0.0, 1), (1.1, 1), (-0.5, 1), (math.nan, 1), (0.5, 0)):
        with pytest.raises(UserError):
            heads_to_keep(scores, keep, min_heads)


LOG_ALPHAS = torch.tensor([-50.0, -4.0, -2.0, -0.5, 0.0, 0.7, 2.0, 5.0, 50.0], dtype=torch.float64)


def test_the_probability_of_an_open_gate_is_that_of_its_draws():
    """By integration over u; settled gates by their formula."""
    u = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    for log_alpha in LOG_ALPHAS:
        gates = hard_concrete(log_alpha, u)
        assert ((gates >= 0) & (gates <= 1)).all()
        assert abs((gates != 0).double().mean() - open_probability(log_alpha)) < 1e-5
        # Louizos et al.: 1 - Q(0) with the distribution function of the stretched concrete variable.
        below = 1 / (1 + math.exp(-(math.log(0.1 / 1.1) * 0.33 - float(log_alpha))))
        assert abs(1 - below - open_probability(log_alpha)) < 1e-12
        assert abs(settled(log_alpha) - min(1.0, max(0.0, 1.2 / (1 + math.exp(-log_alpha)) - 0.1))) < 1e-12


@pytest.fixture
def gated(make_bart):
    """A BART with attached gates of different locations, and its sites."""
    model = make_bart(2, 2)
    sites = sites_of(model)
    gates = HeadGates(model, sites)
    with torch.no_grad():
        for index, part in enumerate(gates.of_attention):
            part.location.copy_(torch.tensor([-4.0, 0.0, 1.0, 4.0]).roll(index))
    gates.attach(model)
    return model, sites, gates


def test_gates_multiply_heads(gated, tiny_batch):
    """Settled in evaluation; in training drawn once per forward pass, from torch's generator."""
    model, sites, gates = gated
    log_alphas = {
        s.module: part.log_alpha.detach() for s, part in zip(sites.attentions, gates.of_attention, strict=True)
    }
    observed = outputs_of(model, tiny_batch)
    gates.detach(model)
    plain = outputs_of(model, tiny_batch)
    with factors_on(model, sites, {name: settled(log_alpha) for name, log_alpha in log_alphas.items()}):
        assert torch.allclose(observed, outputs_of(model, tiny_batch), rtol=0, atol=1e-6)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not torch.allclose(observed, plain, rtol=0, atol=1e-3)
    gates.attach(model)
    assert torch.equal(outputs_of(model, tiny_batch), observed)


def test_drawn_gates_follow_the_random_stream_and_the_mode(gated, tiny_batch):
    """Two streams of one seed give the same; one draw serves a whole batch; evaluation is deterministic."""
    model, _, _ = gated
    assert torch.equal(outputs_of(model, tiny_batch), outputs_of(model, tiny_batch))
    model.train()
    drawn = []
    for _ in range(2):
        with RandomStream(3, torch.device("cpu")):
            drawn.append([outputs_of(model, tiny_batch) for _ in range(2)])
    assert torch.equal(drawn[0][0], drawn[1][0]) and torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    part = model.head_gates.of_attention[0]
    x = torch.ones(5, 7, 32)
    values = part(x)
    assert torch.equal(values, values[:1, :1].expand_as(values))
    assert ((values >= 0) & (values <= 1)).all()


def test_gates_open_as_often_as_the_penalty_says(gated):
    """Within four standard errors, and the penalty is the sum over all heads."""
    _, _, gates = gated
    gates.train()
    torch.manual_seed(0)
    num_draws = 4000
    part = gates.of_attention[0]
    drawn = torch.stack([part(torch.ones(1, 1, 32))[0, 0, ::8] for _ in range(num_draws)])
    probability = open_probability(part.log_alpha.detach())
    error = (probability * (1 - probability) / num_draws).sqrt()
    assert ((drawn != 0).float().mean(dim=0) - probability).abs().le(4 * error).all()
    expected = sum(open_probability(other.log_alpha.detach()).sum() for other in gates.of_attention)
    assert torch.allclose(gates.penalty(), expected)


def test_gradients_of_gates_are_finite_everywhere(gated, tiny_batch):
    """At the ends, too; the penalty's is that of its formula."""
    model, _, gates = gated
    model.train()
    with torch.no_grad():
        gates.of_attention[0].location.copy_(torch.tensor([-200.0, -1.0, 1.0, 200.0]))
    for seed in range(5):
        torch.manual_seed(seed)
        losses_of(model, tiny_batch).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert any(part.location.grad.any() for part in gates.of_attention)
    model.zero_grad()
    gates.penalty().backward()
    for part in gates.of_attention:
        p = open_probability(part.log_alpha.detach())
        assert torch.allclose(part.location.grad, p * (1 - p))
    log_alpha = torch.zeros(2, requires_grad=True)
    ends = hard_concrete(log_alpha, torch.tensor([0.0, 1.0]))
    ends.sum().backward()
    assert ends.tolist() == [0.0, 1.0] and log_alpha.grad.tolist() == [0.0, 0.0]


def test_the_gates_are_a_part_of_the_model_while_attached(gated, tiny_batch):
    """Trained and checkpointed with it; a copy has its own; gone without a trace."""
    model, _, gates = gated
    names = {f"head_gates.of_attention.{index}.location" for index in range(6)}
    assert names < set(model.state_dict()) and names < {name for name, _ in model.named_parameters()}
    twin, before = copy.deepcopy(model), outputs_of(model, tiny_batch)
    with torch.no_grad():
        for part in twin.head_gates.of_attention:
            part.location.fill_(-9.0)
    assert torch.equal(outputs_of(model, tiny_batch), before)
    assert not torch.equal(outputs_of(twin, tiny_batch), before)
    twin.head_gates.detach(twin)
    assert not names & set(twin.state_dict())
    assert torch.equal(outputs_of(model, tiny_batch), before)
    assert gates is model.head_gates


def test_folding_the_gates_and_removing_closed_heads_loses_nothing(gated, tiny_batch):
    """What evaluation with gates gave is what the smaller model gives; also where a module closed all its heads."""
    model, sites, gates = gated
    with torch.no_grad():
        gates.of_attention[1].location.copy_(torch.tensor([-6.0, -5.0, -5.0, -7.0]))
    before = outputs_of(model, tiny_batch)
    kept = gates.kept()
    modules = [site.module for site in sites.attentions]
    assert kept[modules[0]] == [1, 2, 3] and kept[modules[1]] == [1] and kept[modules[2]] == [0, 1, 3]
    gates.fold(model)
    remove_heads(model, sites, kept)
    assert torch.allclose(outputs_of(model, tiny_batch), before, rtol=0, atol=1e-6)
    best = gates.kept(0.25)
    assert sum(map(len, best.values())) == 6 and all(best.values())
    assert best[modules[1]] == [1] and best[modules[2]] == [1]


def test_gates_that_do_not_fit_are_refused(gated, tiny_batch):
    """Heads removed under attached gates; gates folded into quantised layers."""
    model, sites, _ = gated
    quantised = copy.deepcopy(model)
    remove_heads(model, sites, {sites.attentions[0].module: [0, 1]})
    with pytest.raises(RuntimeError):
        outputs_of(model, tiny_batch)
    prepare_student(quantised, scheme_of("2-2-8", QuantisationConfig()))
    with pytest.raises(UserError):
        quantised.head_gates.fold(quantised)
    assert hasattr(quantised, "head_gates")


@pytest.mark.parametrize("scheme", ["2-2-8", "8-8-8", "32-32-32"])
def test_a_pruned_student_is_quantised_and_packed_like_any_other(make_bart, tiny_batch, scheme):
    """Fake-quantised and packed outputs agree bit for bit, gradients reach what is left."""
    student = build_student(make_bart(3, 3), [0, 2], [2], 0.0).eval()
    kept = ragged(sites_of(student))
    remove_heads(student, sites_of(student), kept)
    plain = outputs_of(student, tiny_batch)
    settings = scheme_of(scheme, QuantisationConfig())
    prepare_student(student, settings)
    losses_of(student, tiny_batch).sum().backward()
    for site in sites_of(student).attentions:
        assert student.get_submodule(site.query)._parameters["weight"].grad.any()
    before = outputs_of(student, tiny_batch).detach()
    assert torch.equal(before, plain) == (scheme == "32-32-32")
    convert(student, sites_of(student), settings)
    assert torch.equal(outputs_of(student, tiny_batch), before)


def test_importance_of_a_quantised_student_is_that_of_its_quantised_forward(make_student, tiny_batch):
    """The factors come before the output linear's quantiser."""
    student, _ = make_student("2-2-8")
    sites, before = sites_of(student), outputs_of(student, tiny_batch)
    scores = importance_of(student, sites, [tiny_batch])
    assert all(score.isfinite().all() and score.any() for score in scores.values())
    assert torch.equal(outputs_of(student, tiny_batch), before)
