"""T5, its later version, Flan-T5 and MT5."""

from pathlib import Path
from typing import Any

from hub_folders.files import ENGLISH, HEADS, INNER, LAYERS, ROMANIAN, WIDTH, Weights, pieces, scored, unigram, write


def _t5_tensors(vocab_size: int, heads: int, head_width: int, gated: bool, own_head: bool) -> Weights:
    weights, inner = Weights(), heads * head_width
    weights.add("shared.weight", vocab_size, WIDTH, std=1.0)
    for stack in ("encoder", "decoder"):
        for layer in range(LAYERS):
            parts = ["SelfAttention", "EncDecAttention"][: 1 if stack == "encoder" else 2]
            for number, part in enumerate(parts):
                block = f"{stack}.block.{layer}.layer.{number}"
                for name in "qkv":
                    weights.linear(f"{block}.{part}.{name}", inner, WIDTH, bias=False)
                weights.linear(f"{block}.{part}.o", WIDTH, inner, bias=False)
                if layer == number == 0:
                    weights.add(f"{block}.{part}.relative_attention_bias.weight", 32, heads)
                weights.norm(f"{block}.layer_norm", bias=None)
            block = f"{stack}.block.{layer}.layer.{len(parts)}"
            for name in ("wi_0", "wi_1") if gated else ("wi",):
                weights.linear(f"{block}.DenseReluDense.{name}", INNER, WIDTH, bias=False)
            weights.linear(f"{block}.DenseReluDense.wo", WIDTH, INNER, bias=False)
            weights.norm(f"{block}.layer_norm", bias=None)
        weights.norm(f"{stack}.final_layer_norm", bias=None)
    if own_head:
        weights.add("lm_head.weight", vocab_size, WIDTH)
    return weights


def _t5_tokenizer(folder: Path, texts: list[str], extra_ids: int, fast: bool = True) -> tuple[int, dict[str, Any]]:
    """Write T5's tokenizer; its size, and its files in JSON. The newest of the family have no `tokenizer.json`."""
    model = pieces(folder / "spiece.model", texts, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    extra = [f"<extra_id_{i}>" for i in range(extra_ids)]
    vocabulary = [*scored(model, 0), *((token, 0.0) for token in reversed(extra))]
    if fast:
        special = ["</s>", "<unk>", "<pad>", *extra]
        unigram(folder, model, vocabulary, special, unk_id=2, template="$A </s>")
    words = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    words |= {"additional_special_tokens": extra} if extra else {}
    settings = {**words, "extra_ids": extra_ids, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"}
    return len(vocabulary), {"special_tokens_map": words, "tokenizer_config": settings}


_T5_START = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}


def t5(folder: Path) -> Path:
    """T5 as google-t5/t5-small: tied, no word of a first token or of gates, a bias table that nothing reads."""
    size, files = _t5_tokenizer(folder, ENGLISH, extra_ids=10)
    vocab_size = size + 12  # as 32,128 rows for 32,100 tokens
    weights = _t5_tensors(vocab_size, HEADS, WIDTH // HEADS, gated=False, own_head=False)
    weights.add("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", 32, HEADS)
    asked = {"early_stopping": True, "length_penalty": 2.0, "max_length": 200, "min_length": 30, "num_beams": 4}
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": INNER,
        "d_kv": WIDTH // HEADS,
        "d_model": WIDTH,
        "dropout_rate": 0.1,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": "t5",
        "n_positions": 512,
        "num_heads": HEADS,
        "num_layers": LAYERS,
        "output_past": True,
        "relative_attention_num_buckets": 32,
        "task_specific_params": {"summarization": {**asked, "prefix": "summarize: "}},
        "vocab_size": vocab_size,
        **_T5_START,
    }
    generation = {"_from_model_config": True, **_T5_START, "transformers_version": "4.27.0.dev0"}
    return write(folder, config, weights.tensors, generation_config=generation, **files)


def _t5_later(folder: Path, kind: str, extra_ids: int, padded: int, copies: bool, fast: bool) -> Path:
    """What T5 1.1 and its descendants share: a head of their own, gates, heads that do not divide the width."""
    texts = [*ENGLISH, *ROMANIAN] if kind == "mt5" else ENGLISH
    size, files = _t5_tokenizer(folder, texts, extra_ids, fast)
    weights = _t5_tensors(size + padded, 3, 8, gated=True, own_head=True)
    if copies:  # written before tensors were shared
        for stack in ("encoder", "decoder"):
            weights.tensors[f"{stack}.embed_tokens.weight"] = weights.tensors["shared.weight"].clone()
    config = {
        "architectures": ["MT5ForConditionalGeneration" if kind == "mt5" else "T5ForConditionalGeneration"],
        "d_ff": INNER,
        "d_kv": 8,
        "d_model": WIDTH,
        "dropout_rate": 0.1,
        "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": kind,
        "num_decoder_layers": LAYERS,
        "num_heads": 3,
        "num_layers": LAYERS,
        "output_past": True,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "transformers_version": "4.23.1",
        "use_cache": True,
        "vocab_size": size + padded,
        **_T5_START,
    }
    if kind == "mt5":
        config["tokenizer_class"] = "T5Tokenizer"
    generation = {**_T5_START, "transformers_version": "4.23.1"}
    return write(folder, config, weights.tensors, generation_config=generation, **files)


def flan_t5(folder: Path) -> Path:
    """Flan-T5 as google/flan-t5-small: embeddings of both stacks stored beside the shared one, which they equal."""
    return _t5_later(folder, "t5", extra_ids=10, padded=12, copies=True, fast=True)


def t5_1_1(folder: Path) -> Path:
    """T5 1.1 as google/t5-v1_1-small: the shared embedding once, and the tokenizer as sentence pieces alone."""
    return _t5_later(folder, "t5", extra_ids=10, padded=12, copies=False, fast=False)


def mt5(folder: Path) -> Path:
    """MT5 as google/mt5-small: no sentinels, many more rows than tokens, a type of its own."""
    return _t5_later(folder, "mt5", extra_ids=0, padded=64, copies=False, fast=False)
