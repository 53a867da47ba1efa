"""transformers as people use it: `generate`, or a classifier's forward pass, on what `save_pretrained` has written."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from pipeline.benchmarking.engines.engine import Array, Engine, Sample
from pipeline.models.special_tokens import special_tokens

disable_progress_bar()
for family in ("bart", "bert", "roberta"):  # else their import would count as loading
    import_module(f"transformers.models.{family}.modeling_{family}")


class TorchEngine:
    """A model in the precision of its file."""

    def __init__(self, path: Path) -> None:
        self.model = AutoModelForSeq2SeqLM.from_pretrained(path, dtype="auto").requires_grad_(False).eval()

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
            ms={"encode": 1000.0 * (between - begin), "decode": 1000.0 * (end - between)},
            answer=tokens[:, 1:].numpy(),
        )


class TorchEncoder:
    """An encoder that classifies, in the precision of its file.

    Args:
        path: its folder.
        attention: sdpa or eager; none for the default of transformers.
    """

    def __init__(self, path: Path, attention: str | None) -> None:
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype="auto", attn_implementation=attention)
        self.model = model.requires_grad_(False).eval()

    @torch.inference_mode()
    def sample(self, source: Array, num_tokens: int) -> Sample:
        """See `Engine.sample`."""
        ids = torch.from_numpy(source)
        mask, begin = torch.ones_like(ids), time.perf_counter()
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        return Sample(ms={"forward": 1000.0 * (time.perf_counter() - begin)}, answer=logits.numpy())


def load(path: Path, threads: int, attention: str | None = None) -> Engine:
    """A model that runs on so many threads; an encoder may have another attention than by default."""
    torch.set_num_threads(threads)
    if AutoConfig.from_pretrained(path).is_encoder_decoder:
        return TorchEngine(path)
    return TorchEncoder(path, attention)
