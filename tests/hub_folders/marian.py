"""Marian with one vocabulary for both languages, and with one for each."""

from pathlib import Path

import torch

from hub_folders.bart_like import bart_config, bart_tensors
from hub_folders.files import ENGLISH, ROMANIAN, WIDTH, pieces, write


def marian(folder: Path) -> Path:
    """Marian as Helsinki-NLP/opus-mt-en-ro: two sentence-piece models, one vocabulary, padding last and first token."""
    return _marian(folder, separate=False)


def marian_two_vocabularies(folder: Path) -> Path:
    """Marian with a vocabulary for each language, of equal size; the head is the decoder's embedding; fp16."""
    return _marian(folder, separate=True)


def _marian(folder: Path, separate: bool) -> Path:
    sides = {"source": ENGLISH, "target": ROMANIAN}
    trained = [pieces(folder / f"{side}.spm", texts, num_pieces=45) for side, texts in sides.items()]
    words = [[piece.piece for piece in model.pieces[3:]] for model in trained]
    known = words if separate else [dict.fromkeys([*words[0], *words[1]])]
    vocabularies = [["</s>", "<unk>", *of_side, "<pad>"] for of_side in known]
    files = {
        name: {word: number for number, word in enumerate(known)}
        for name, known in zip(("vocab", "target_vocab"), vocabularies, strict=False)
    }
    size = len(vocabularies[0])
    pad, dtype = size - 1, torch.float16 if separate else torch.float32
    weights = bart_tensors(size, dtype=dtype)
    if separate:
        for stack in ("encoder", "decoder"):
            weights.add(f"model.{stack}.embed_tokens.weight", size, WIDTH)
        del weights.tensors["model.shared.weight"]
    weights.add("final_logits_bias", 1, size, std=0.5)
    starts = {"bos_token_id": 0, "decoder_start_token_id": pad, "eos_token_id": 0, "pad_token_id": pad}
    asked = {"bad_words_ids": [[pad]], "max_length": 512, "num_beams": 4, "forced_eos_token_id": 0}
    config = bart_config(
        activation_function="swish",
        architectures=["MarianMTModel"],
        **starts,
        **asked,
        model_type="marian",
        normalize_embedding=False,
        scale_embedding=True,
        static_position_embeddings=True,
        torch_dtype="float16" if separate else "float32",
        vocab_size=size,
    )
    settings = {"source_lang": "en", "target_lang": "ro"}
    if separate:
        config |= {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": size, "tie_word_embeddings": True}
        settings |= {"separate_vocabs": True, "unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
    generation = {"_from_model_config": True, **starts, **asked}
    return write(folder, config, weights.tensors, generation_config=generation, tokenizer_config=settings, **files)
