"""transformers as people use it: `generate` on a folder that `save_pretrained` has written."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from pipeline.benchmarking.engines.engine import Array, Engine, Sample
from pipeline.models.special_tokens import special_tokens

disable_progress_bar()
import_module("transformers.models.bart.modeling_bart")  # else its import would count as loading


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


def load(path: Path, threads: int) -> Engine:
    """A model in the precision of its file that runs on so many threads."""
    torch.set_num_threads(threads)
    return TorchEngine(AutoModelForSeq2SeqLM.from_pretrained(path, dtype="auto").requires_grad_(False).eval())
