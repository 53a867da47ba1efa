"""BERT and RoBERTa after pre-training with masked words."""

from pathlib import Path
from typing import Any

import torch
from tokenizers.implementations import BertWordPieceTokenizer

from hub_folders.files import ENGLISH, HEADS, INNER, LAYERS, WIDTH, Weights, byte_pairs, write


def _bert_tensors(name: str, vocab_size: int, positions: int, types: int, weight: str, bias: str) -> Weights:
    weights = Weights()
    weights.add(f"{name}.embeddings.word_embeddings.weight", vocab_size, WIDTH)
    weights.add(f"{name}.embeddings.position_embeddings.weight", positions, WIDTH)
    weights.add(f"{name}.embeddings.token_type_embeddings.weight", types, WIDTH)
    weights.norm(f"{name}.embeddings.LayerNorm", weight, bias)
    weights.tensors[f"{name}.embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    for layer in (f"{name}.encoder.layer.{i}" for i in range(LAYERS)):
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            weights.linear(f"{layer}.{part}", WIDTH, WIDTH)
        weights.norm(f"{layer}.attention.output.LayerNorm", weight, bias)
        weights.linear(f"{layer}.intermediate.dense", INNER, WIDTH)
        weights.linear(f"{layer}.output.dense", WIDTH, INNER)
        weights.norm(f"{layer}.output.LayerNorm", weight, bias)
    return weights


def _bert_config(**own: Any) -> dict[str, Any]:
    return {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        **own,
    }


def _word_pieces(folder: Path) -> int:
    """Write the files of BERT's tokenizer, every word and letter a token; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    words = dict.fromkeys(
        word for text in ENGLISH for word in text.lower().replace(",", " ,").replace("?", " ?").split()
    )
    letters = sorted({letter for word in words for letter in word})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    pieces = BertWordPieceTokenizer(vocabulary, lowercase=True)
    pieces.save(str(folder / "tokenizer.json"))
    pieces.save_model(str(folder))  # vocab.txt
    return len(vocabulary)


def bert(folder: Path, pooler: bool = True) -> Path:
    """BERT as google-bert/bert-base-uncased: names of norms from TensorFlow, a pooler, heads that nobody asks for."""
    size = _word_pieces(folder)
    weight, bias = ("gamma", "beta") if pooler else ("weight", "bias")
    weights = _bert_tensors("bert", size, 64, 2, weight, bias)
    if pooler:
        weights.linear("bert.pooler.dense", WIDTH, WIDTH)
        weights.linear("cls.seq_relationship", 2, WIDTH)
    weights.add("cls.predictions.bias", size)
    weights.linear("cls.predictions.transform.dense", WIDTH, WIDTH)
    weights.norm("cls.predictions.transform.LayerNorm", weight, bias)
    config = _bert_config(
        architectures=["BertForMaskedLM"],
        layer_norm_eps=1e-12,
        max_position_embeddings=64,
        model_type="bert",
        pad_token_id=0,
        position_embedding_type="absolute",
        transformers_version="4.6.0.dev0",
        type_vocab_size=2,
        use_cache=True,
        vocab_size=size,
    )
    return write(folder, config, weights.tensors, tokenizer_config={"do_lower_case": True, "model_max_length": 512})


def bert_without_pooler(folder: Path) -> Path:
    """BERT as it is saved after pre-training with masked words alone."""
    return bert(folder, pooler=False)


def roberta(folder: Path) -> Path:
    """RoBERTa as FacebookAI/roberta-base: the head of masked words, no pooler, two positions more than a text has."""
    size = byte_pairs(folder, ENGLISH, "<mask>")
    weights = _bert_tensors("roberta", size, 66, 1, "weight", "bias")
    weights.linear("lm_head.dense", WIDTH, WIDTH)
    weights.norm("lm_head.layer_norm")
    weights.add("lm_head.bias", size)
    config = _bert_config(
        architectures=["RobertaForMaskedLM"],
        bos_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-05,
        max_position_embeddings=66,
        model_type="roberta",
        pad_token_id=1,
        type_vocab_size=1,
        vocab_size=size,
    )
    return write(folder, config, weights.tensors, tokenizer_config={"model_max_length": 512})
