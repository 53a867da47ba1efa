"""What the trained model says to a few inputs, kept beside its graphs; and how far the graphs are from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.export.onnx.graphs.weights_file import Array
from pipeline.export.package import load_package
from pipeline.models.families import family_of
from pipeline.models.forward import start_token
from pipeline.models.special_tokens import special_tokens
from pipeline.runtime.check import golden_logits, read_golden, relative_error
from pipeline.runtime.manifest import GOLDEN, ExportInfo, Parity
from pipeline.runtime.model import Model

NUM_ROWS, SOURCE_TOKENS, NUM_STEPS, NUM_COLUMNS = 3, 24, 8, 256
SEED = 0


@torch.inference_mode()
def write_golden(folder: Path, model: Any, packed: Path, reads_types: bool) -> float:
    """Write the inputs and what the model says in fp32.

    Args:
        folder: where `golden.npz` goes.
        model: the loaded package.
        packed: the package, loaded again for fp64.
        reads_types: whether a classifier is told which text of a pair a token belongs to.

    Returns:
        The floor: how far fp64 is from fp32, |difference| / |fp32|.
    """
    inputs = _inputs(model, reads_types)
    logits, said = _logits(model, inputs)
    double, _ = load_package(packed)
    exact, _ = _logits(double.double(), inputs, said)
    floor = relative_error(exact, logits)
    columns = np.unique(np.linspace(0, logits.shape[-1] - 1, NUM_COLUMNS).astype(np.int64))
    arrays: dict[str, Array] = {name: tensor.numpy() for name, tensor in inputs.items()}
    if said is not None:
        arrays["decoder_ids"] = said.numpy()
    choices = logits.argmax(axis=-1)
    arrays |= {"columns": columns, "logits": logits[..., columns], "choices": choices}
    np.savez(folder / GOLDEN, allow_pickle=False, **arrays)
    return floor


def measured_parity(folder: Path, info: ExportInfo) -> Parity:
    """How far the graphs of a folder are from what it keeps."""
    model, golden = Model(folder, info, num_threads=1, spinning=False), read_golden(folder)
    logits = golden_logits(model, golden)
    error = relative_error(logits[..., golden["columns"]], golden["logits"])
    same = float((logits.argmax(axis=-1) == golden["choices"]).mean())
    return Parity(logits_error=error, floor=info.parity.floor, same_choices=same)


def _inputs(model: Any, reads_types: bool) -> dict[str, Tensor]:
    """Ragged rows of random tokens; the last one short."""
    model_config, pad = model.config, special_tokens(model.config).pad
    assert pad is not None, "checked before a teacher is trained"
    longest = family_of(model_config).num_positions(model_config) or SOURCE_TOKENS
    length = min(SOURCE_TOKENS, longest)
    generator = torch.Generator().manual_seed(SEED)
    ids = torch.randint(0, model_config.vocab_size, (NUM_ROWS, length), generator=generator)
    ids[ids == pad] = (pad + 1) % model_config.vocab_size
    mask = torch.ones_like(ids)
    for row in range(1, NUM_ROWS):
        end = max(1, length - row * length // NUM_ROWS)
        ids[row, end:], mask[row, end:] = pad, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if reads_types and getattr(model_config, "type_vocab_size", 1) > 1:
        inputs["token_type_ids"] = (torch.arange(length) >= length // 2).long().repeat(NUM_ROWS, 1) * mask
    return inputs


def _logits(model: Any, inputs: dict[str, Tensor], said: Tensor | None = None) -> tuple[Array, Tensor | None]:
    """What a model says: a classifier's logits; or those of every step, and the tokens that it was told.

    A decoder goes step by step as in generation, because scales over a whole tensor depend on what is in it.

    Args:
        model: a loaded package.
        inputs: of the encoder.
        said: the decoder's tokens, (rows, steps); none for what the model would say, greedily, without ending.
    """
    if (start := start_token(model.config)) is None:
        return model(**inputs).logits.numpy(), None
    longest = family_of(model.config).num_positions(model.config) or NUM_STEPS
    encoded, past, steps = model.get_encoder()(**inputs), None, []
    tokens = [torch.full((NUM_ROWS, 1), start)]
    for step in range(min(NUM_STEPS, longest)):
        output = model(
            encoder_outputs=encoded,
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=tokens[step] if said is None else said[:, step : step + 1],
            past_key_values=past,
            use_cache=True,
        )
        past = output.past_key_values
        steps.append(output.logits[:, -1])
        tokens.append(steps[-1].argmax(dim=-1, keepdim=True))
    return torch.stack(steps, dim=1).numpy(), torch.cat(tokens[:-1], dim=1) if said is None else said
