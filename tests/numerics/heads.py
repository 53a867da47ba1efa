"""Tiny models of many families in float64, and head removal written out plainly, for the laws of head pruning."""

from contextlib import contextmanager

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

from pipeline.pruning.heads import head_width
from pipeline.quantization.prepare import AttentionSite, Sites

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
    return Sites(
        linears=(), post_activations=(), embeddings=(), positions=(), lm_head="", attentions=tuple(found), matrix_of={}
    )


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


def losses_of(model, batch):
    """Cross-entropy with the reference summed over the tokens of each example, (batch,)."""
    loss = functional.cross_entropy(outputs_of(model, batch).transpose(1, 2), batch.labels, reduction="none")
    return loss.sum(dim=1)
