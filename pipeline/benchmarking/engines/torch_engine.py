"""transformers as people use it: `generate`, or a classifier's forward pass, on what `save_pretrained` has written."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    GenerationConfig,
    PreTrainedModel,
)
from transformers.utils.logging import disable_progress_bar

from pipeline.benchmarking.engines.engine import Array, ClassifierEngine, Engine, Sample
from pipeline.data.pretrained import read_config, read_model
from pipeline.models.special_tokens import special_tokens

disable_progress_bar()
for family in ("bart", "bert", "roberta"):  # else their import would count as loading
    import_module(f"transformers.models.{family}.modeling_{family}")


class TorchEngine:
    """A model that generates.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    @torch.inference_mode()
    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        ids, special = torch.from_numpy(source), special_tokens(self.model.config)
        decoding = GenerationConfig(
            num_beams=1,
            do_sample=False,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
            bos_token_id=special.bos,
            eos_token_id=list(special.ends) or None,
            pad_token_id=special.pad,
            decoder_start_token_id=special.start,
        )
        mask, begin = torch.ones_like(ids), time.perf_counter()
        encoded = self.model.get_encoder()(input_ids=ids, attention_mask=mask)
        between = time.perf_counter()
        tokens = self.model.generate(encoder_outputs=encoded, attention_mask=mask, generation_config=decoding)
        end = time.perf_counter()
        return Sample(
            encode_ms=1000.0 * (between - begin),
            decode_ms=1000.0 * (end - between),
            tokens=tokens[:, 1:].numpy(),
        )


def classifier(model: PreTrainedModel) -> ClassifierEngine:
    """An encoder that classifies, in evaluation mode."""

    @torch.inference_mode()
    def classify(source: Array) -> Array:
        ids = torch.from_numpy(source)
        logits: Array = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.numpy()
        return logits

    return ClassifierEngine(classify)


def load(path: Path, threads: int, attention: str | None = None) -> Engine:
    """A model in the precision of its file that runs on so many threads.

    Args:
        path: its folder.
        threads: as said.
        attention: sdpa or eager; none for the default of transformers.
    """
    torch.set_num_threads(threads)
    generates = read_config(path).is_encoder_decoder
    kind = AutoModelForSeq2SeqLM if generates else AutoModelForSequenceClassification
    model = read_model(kind, path, dtype="auto", attn_implementation=attention).requires_grad_(False).eval()
    return TorchEngine(model) if generates else classifier(model)
