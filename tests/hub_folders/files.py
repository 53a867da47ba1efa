"""What all folders are made of: random tensors under the names that are asked for, JSON files, tokenizers."""

import base64
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor

WIDTH, INNER, HEADS, LAYERS = 16, 32, 2, 2
PIECES = 120  # of sentence-piece models
ENGLISH = [
    "the small river is green and the stone is round",
    "a big bird sits on a red tree by the hill",
    "one blue fish swims under a white cloud",
    "we see the house of the old king in the morning",
    "why do you ask me, and what do they want to hear?",
]
ROMANIAN = [
    "râul mic este verde și piatra este rotundă",
    "o pasăre mare stă pe un copac roșu lângă deal",
    "un pește albastru înoată sub un nor alb",
    "vedem casa bătrânului rege dimineața",
    "de ce mă întrebi și ce vor ei să audă?",
]
Tensors = dict[str, Tensor]


def write(folder: Path, config: dict[str, Any], tensors: Tensors, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name, content in {"config": config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
    return folder


class Weights:
    """Random tensors by name, always the same ones."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.tensors: Tensors = {}
        self.random, self.dtype = torch.Generator().manual_seed(0), dtype

    def add(self, name: str, *shape: int, mean: float = 0.0, std: float = 0.3) -> None:
        self.tensors[name] = (mean + std * torch.randn(shape, generator=self.random)).to(self.dtype)

    def linear(self, name: str, rows: int, columns: int, bias: bool = True) -> None:
        self.add(f"{name}.weight", rows, columns)
        if bias:
            self.add(f"{name}.bias", rows, std=0.1)

    def norm(self, name: str, weight: str = "weight", bias: str | None = "bias") -> None:
        self.add(f"{name}.{weight}", WIDTH, mean=1.0, std=0.1)
        if bias:
            self.add(f"{name}.{bias}", WIDTH, std=0.1)


def pieces(path: Path, texts: list[str], num_pieces: int = PIECES, **ids: int) -> Any:
    """Train a unigram model; its description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts * 4),
            model_writer=file,
            vocab_size=num_pieces,
            hard_vocab_limit=False,
            minloglevel=2,
            **ids,
        )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    return model


def scored(model: Any, start: int) -> list[tuple[str, float]]:
    return [(piece.piece, piece.score) for piece in model.pieces[start:]]


def unigram(folder: Path, model: Any, vocabulary: list[tuple[str, float]], special: list[str], **settings: Any) -> int:
    """Write the `tokenizer.json` of a unigram model; how many tokens it has."""
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=settings["unk_id"]))
    charsmap = model.normalizer_spec.precompiled_charsmap
    tokenizer.normalizer = normalizers.Precompiled(charsmap if charsmap else base64.b64decode(""))
    spaces = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens(special)
    ends = [token for token in special if token in settings["template"]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=settings["template"], special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def byte_pairs(folder: Path, texts: list[str], mask: str) -> int:
    """Write the files of BART's and RoBERTa's tokenizer; how many tokens it has."""
    bpe, special = ByteLevelBPETokenizer(), ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(texts * 4, vocab_size=320, special_tokens=special, show_progress=False)
    bpe._tokenizer.add_special_tokens([mask])
    bpe._tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    bpe.save(str(folder / "tokenizer.json"))
    bpe.save_model(str(folder))  # vocab.json, merges.txt
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(vocabulary | {mask: bpe.token_to_id(mask)}))
    return bpe.get_vocab_size()
