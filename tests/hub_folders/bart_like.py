"""BART, Pegasus and both kinds of MBART; tensors and configuration of Marian, too."""

from pathlib import Path
from typing import Any

import torch
from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES as CC25
from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES as ML50

from hub_folders.files import (
    ENGLISH,
    HEADS,
    INNER,
    LAYERS,
    ROMANIAN,
    WIDTH,
    Weights,
    byte_pairs,
    pieces,
    scored,
    unigram,
    write,
)


def bart_tensors(
    vocab_size: int,
    prefix: str = "model.",
    positions: int | None = None,
    embedding_norm: bool = False,
    final_norm: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Weights:
    """Embeddings, layers and norms of an encoder and a decoder; `positions` are learned, two rows lie before them."""
    weights = Weights(dtype)
    weights.add(f"{prefix}shared.weight", vocab_size, WIDTH)
    for stack in ("encoder", "decoder"):
        if positions is not None:
            weights.add(f"{prefix}{stack}.embed_positions.weight", positions + 2, WIDTH)
        if embedding_norm:
            weights.norm(f"{prefix}{stack}.layernorm_embedding")
        for layer in (f"{prefix}{stack}.layers.{i}" for i in range(LAYERS)):
            for part in ("self_attn", "encoder_attn")[: 1 if stack == "encoder" else 2]:
                for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    weights.linear(f"{layer}.{part}.{name}", WIDTH, WIDTH)
                weights.norm(f"{layer}.{part}_layer_norm")
            weights.linear(f"{layer}.fc1", INNER, WIDTH)
            weights.linear(f"{layer}.fc2", WIDTH, INNER)
            weights.norm(f"{layer}.final_layer_norm")
        if final_norm:
            weights.norm(f"{prefix}{stack}.layer_norm")
    return weights


_LABELS = {
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
}


def bart_config(**own: Any) -> dict[str, Any]:
    """The keys of BART's family, as its authors' conversion wrote them."""
    return {
        "activation_dropout": 0.1,
        "activation_function": "gelu",
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "attention_dropout": 0.1,
        "bos_token_id": 0,
        "classif_dropout": 0.1,
        "classifier_dropout": 0.0,
        "d_model": WIDTH,
        "decoder_attention_heads": HEADS,
        "decoder_ffn_dim": INNER,
        "decoder_layerdrop": 0.0,
        "decoder_layers": LAYERS,
        "dropout": 0.1,
        "encoder_attention_heads": HEADS,
        "encoder_ffn_dim": INNER,
        "encoder_layerdrop": 0.0,
        "encoder_layers": LAYERS,
        "gradient_checkpointing": False,
        **_LABELS,
        "init_std": 0.02,
        "is_encoder_decoder": True,
        "max_position_embeddings": 64,
        "normalize_before": False,
        "normalize_embedding": True,
        "num_hidden_layers": LAYERS,
        "scale_embedding": False,
        "static_position_embeddings": False,
        "use_cache": True,
        **own,
    }


def bart(folder: Path, head: bool = False) -> Path:
    """BART as facebook/bart-base: a BartModel, its names without `model.`; no head, no bias of logits."""
    size = byte_pairs(folder, ENGLISH, "<mask>")
    weights = bart_tensors(size, "model." if head else "", positions=64, embedding_norm=True)
    if head:
        for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"):
            weights.tensors[name] = weights.tensors["model.shared.weight"].clone()
        weights.add("final_logits_bias", 1, size, std=0.0)
    starts = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    asked = {"early_stopping": True, "no_repeat_ngram_size": 3, "num_beams": 4}
    news = {"length_penalty": 2.0, "max_length": 142, "min_length": 56, "num_beams": 4}
    config = bart_config(
        architectures=["BartForConditionalGeneration" if head else "BartModel"],
        **starts,
        **asked,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        model_type="bart",
        task_specific_params={"summarization": {**news, "no_repeat_ngram_size": 3}},
        torch_dtype="float32",
        transformers_version="4.12.0.dev0",
        vocab_size=size,
    )
    generation = {"_from_model_config": True, **starts, **asked, "forced_bos_token_id": 0, "forced_eos_token_id": 2}
    settings = {"model_max_length": 1024}
    return write(folder, config, weights.tensors, generation_config=generation, tokenizer_config=settings)


def bart_with_head(folder: Path) -> Path:
    """BART as facebook/bart-large-cnn: with the head and its bias, and every copy of the embedding."""
    return bart(folder, head=True)


def pegasus(folder: Path) -> Path:
    """Pegasus as its first conversion to the hub: no first token, positions not stored, 103 ids before the pieces."""
    model = pieces(folder / "spiece.model", ENGLISH, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    unknown = [f"<unk_{i}>" for i in range(2, 103)]
    first = [("<pad>", 0.0), ("</s>", 0.0), ("<mask_1>", 0.0), ("<mask_2>", 0.0), *((word, -100.0) for word in unknown)]
    vocabulary = [*first, *scored(model, 2)]
    special = ["<pad>", "</s>", "<mask_1>", "<mask_2>", *unknown, "<unk>"]
    unigram(folder, model, vocabulary, special, unk_id=len(first), template="$A </s>")
    size = len(vocabulary)
    weights = bart_tensors(size, final_norm=True)
    weights.add("final_logits_bias", 1, size, std=0.5)
    config = bart_config(
        activation_function="relu",
        add_final_layer_norm=True,
        architectures=["PegasusForConditionalGeneration"],
        decoder_start_token_id=0,
        eos_token_id=1,
        extra_pos_embeddings=0,
        force_bos_token_to_be_generated=False,
        forced_eos_token_id=1,
        length_penalty=0.6,
        max_length=64,
        model_type="pegasus",
        normalize_before=True,
        normalize_embedding=False,
        num_beams=8,
        pad_token_id=0,
        scale_embedding=True,
        static_position_embeddings=True,
        vocab_size=size,
    )
    del config["bos_token_id"]
    words = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask_2>"}
    words |= {"additional_special_tokens": ["<mask_1>", *unknown]}
    settings = {**words, "mask_token_sent": "<mask_1>", "offset": 103, "tokenizer_class": "PegasusTokenizer"}
    return write(folder, config, weights.tensors, special_tokens_map=words, tokenizer_config=settings)


def _mbart_words() -> dict[str, Any]:
    mask = {"content": "<mask>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True}
    words = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "cls_token": "<s>"}
    return {**words, "pad_token": "<pad>", "mask_token": mask}


def mbart(folder: Path) -> Path:
    """MBART as facebook/mbart-large-cc25: no first token of decoding but in a task's settings, languages at the end."""
    model = pieces(folder / "sentencepiece.bpe.model", [*ENGLISH, *ROMANIAN])
    first = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary = [*first, *scored(model, 3), *((code, 0.0) for code in CC25), ("<mask>", 0.0)]
    special = ["<s>", "<pad>", "</s>", "<unk>", *CC25, "<mask>"]
    unigram(folder, model, vocabulary, special, unk_id=3, template="$A </s> en_XX")
    size, romanian = len(vocabulary), vocabulary.index(("ro_RO", 0.0))
    weights = bart_tensors(size, positions=64, embedding_norm=True, final_norm=True)
    for stack in ("encoder", "decoder"):
        weights.tensors[f"model.{stack}.embed_tokens.weight"] = weights.tensors["model.shared.weight"].clone()
    weights.add("final_logits_bias", 1, size, std=0.0)
    config = bart_config(
        add_final_layer_norm=True,
        architectures=["MBartForConditionalGeneration"],
        eos_token_id=2,
        max_length=1024,
        model_type="mbart",
        normalize_before=True,
        num_beams=5,
        output_past=True,
        pad_token_id=1,
        prefix=" ",
        replacing_rate=0,
        scale_embedding=True,
        task_specific_params={"translation_en_to_ro": {"decoder_start_token_id": romanian}},
        vocab_size=size,
    )
    settings = {"model_max_length": 1024}
    return write(folder, config, weights.tensors, tokenizer_config=settings)


def mbart50(folder: Path) -> Path:
    """MBART-50 as facebook/mbart-large-50: 52 languages in front of every text, sentence pieces alone, in fp16."""
    model = pieces(folder / "sentencepiece.bpe.model", [*ENGLISH, *ROMANIAN])
    codes = list(ML50)
    size = 4 + len(model.pieces) - 3 + len(codes) + 1
    weights = bart_tensors(size, positions=64, embedding_norm=True, final_norm=True, dtype=torch.float16)
    weights.add("final_logits_bias", 1, size, std=0.0)
    asked = {"early_stopping": True, "max_length": 200, "num_beams": 5}
    starts = {"bos_token_id": 0, "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    config = bart_config(
        _num_labels=3,
        add_final_layer_norm=True,
        architectures=["MBartForConditionalGeneration"],
        **starts,
        **asked,
        forced_eos_token_id=2,
        model_type="mbart",
        normalize_before=True,
        output_past=True,
        scale_embedding=True,
        tokenizer_class="MBart50Tokenizer",
        torch_dtype="float16",
        vocab_size=size,
    )
    words = _mbart_words() | {"additional_special_tokens": codes}
    settings = {"src_lang": None, "tgt_lang": None, **words, "additional_special_tokens": None}
    settings |= {"language_codes": "ML50", "tokenizer_class": "MBart50Tokenizer", "sp_model_kwargs": {}}
    files = {"generation_config": {"_from_model_config": True, **starts, **asked, "forced_eos_token_id": 2}}
    return write(folder, config, weights.tensors, special_tokens_map=words, tokenizer_config=settings, **files)
