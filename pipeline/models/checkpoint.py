"""The weights of a folder or hub name: where they lie, and every tensor accounted for."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_utils import _get_resolved_checkpoint_files

from pipeline.config.errors import UserError
from pipeline.data.pretrained import read_model
from pipeline.models.families import family_of
from pipeline.models.family import Family
from pipeline.models.starting_point import check_format
from pipeline.models.token_tables import share_tables, stored_users

# What other heads and other versions of transformers leave in files, and what models do without.
HARMLESS = re.compile(r"(^|\.)(position_ids|version|final_logits_bias)$")
OTHER_HEADS = re.compile(r"^(cls|lm_head|qa_outputs|classifier)\.|(^|\.)pooler\.")  # in the file of an encoder
FLOATS = {"F64", "F32", "F16", "BF16"}
CHANGE = "name a folder that save_pretrained of a whole model has written"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a checkpoint lacks of a model and what it holds besides; names of tensors, sorted.

    Args:
        drawn: of an encoder's head, made from scratch.
        unused: what the model has no place for.
    """

    drawn: list[str]
    unused: list[str]


def stored_tensors(name: str) -> dict[str, Any]:
    """Name -> safetensors slice of every tensor at a hub name or in a folder; nothing is read yet.

    Raises:
        UserError: no safetensors, or damaged ones.
    """
    if Path(name).is_dir():
        check_format(Path(name), name)
    try:
        files, _ = _get_resolved_checkpoint_files(
            name, variant=None, gguf_file=None, use_safetensors=True, user_agent=None, is_remote_code=False
        )
        opened: list[Any] = [safe_open(file, framework="pt") for file in files or []]
        tensors = {key: file.get_slice(key) for file in opened for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # hub errors, missing shards, broken files
        raise UserError(
            f"the weights of '{name}' cannot be read: {_first_line(error)}",
            "safetensors weights",
            "convert them with save_pretrained",
        ) from error
    integers = sorted(key for key, tensor in tensors.items() if tensor.get_dtype() not in FLOATS)
    if integers := [key for key in integers if not HARMLESS.search(key)]:
        raise UserError(
            f"'{name}' holds {_listed(integers)} as {tensors[integers[0]].get_dtype()}",
            f"weights in {', '.join(sorted(FLOATS))}: this project quantizes them itself",
            "name the model that was not quantized yet",
        )
    return tensors


def load_checkpoint(model_config: PretrainedConfig, name: str, draws_head: bool = False) -> PreTrainedModel:
    """The model of a configuration with the weights of a checkpoint, in fp32.

    Args:
        model_config: the configuration; it knows which matrices are one (`token_tables`).
        name: folder or hub name.
        draws_head: an encoder's head that the checkpoint lacks, or has for other labels, starts from scratch.

    Raises:
        UserError: tensors are missing or have other shapes.
    """
    tensors = stored_tensors(name)
    model, _ = _filled(model_config, name, tensors, draws_head)
    share_tables(model, stored_users(model_config, tensors))
    return model


def account_of(model_config: PretrainedConfig, name: str, draws_head: bool = False) -> Account:
    """What `load_checkpoint` would make of a checkpoint, without reading weights; arguments and errors are the same."""
    # One zero that is seen everywhere: of the right shape, and of no size.
    outlines = {key: torch.zeros(()).expand(tensor.get_shape()) for key, tensor in stored_tensors(name).items()}
    return _filled(model_config, name, outlines, draws_head)[1]


def check_finite(name: str, account: Account) -> None:
    """Refuse a checkpoint with NaN or infinity in what its model reads; every tensor is read once.

    Raises:
        UserError: as said, with the first such tensor.
    """
    tensors = stored_tensors(name)
    for key in sorted({*tensors} - {*account.unused}):
        if not HARMLESS.search(key) and not torch.isfinite(tensors[key][...]).all():
            raise UserError(
                f"'{name}' holds NaN or infinity in {key}",
                "finite weights",
                "name a checkpoint from before its training failed",
            )


def _filled(
    model_config: PretrainedConfig, name: str, tensors: Mapping[str, Any], draws_head: bool
) -> tuple[PreTrainedModel, Account]:
    family = family_of(model_config)
    prefix = f"{family.model_class.base_model_prefix}."
    computed = {*family.computed, *(tensor.removeprefix(prefix) for tensor in family.computed)}
    _check_tables(
        model_config, name, tensors
    )  # transformers compares copies of one matrix before it tells their shapes
    with _silence("transformers.modeling_utils"):
        model, found = read_model(
            family.model_class,
            None,
            config=model_config,
            state_dict={key: tensor for key, tensor in tensors.items() if key not in computed},
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with names
        )
    return model, _accounted(family, name, tensors, found, draws_head)


def _check_tables(model_config: PretrainedConfig, name: str, tensors: Mapping[str, Any]) -> None:
    with torch.device("meta"):
        wanted = family_of(model_config).model_class(copy.deepcopy(model_config))
    shapes = {
        key: (_shape(tensors[key]), tuple(wanted.get_submodule(user).weight.shape))
        for user, key in stored_users(model_config, tensors).items()
    }
    _check_shapes(name, {key: both for key, both in shapes.items() if both[0] != both[1]})


def _shape(tensor: Any) -> tuple[int, ...]:
    """Of a tensor, or of a slice that nobody has read."""
    return tuple(tensor.shape if isinstance(tensor, Tensor) else tensor.get_shape())


def _check_shapes(name: str, wrong: Mapping[str, Sequence[Any]]) -> None:
    """Refuse tensors of other shapes: name -> (stored, wanted)."""
    if not wrong:
        return
    key, (stored, wanted) = min(wrong.items())
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise UserError(
        f"'{name}' holds {key} of shape {tuple(stored)}{more}; config.json asks for {tuple(wanted)}",
        "weights of the shapes that config.json describes",
        "name a folder whose config.json belongs to its weights",
    )


def _accounted(
    family: Family, name: str, tensors: Collection[str], found: Mapping[str, Any], draws_head: bool
) -> Account:
    missing, mismatched = set(found["missing_keys"]), {key: sizes for key, *sizes in found["mismatched_keys"]}
    unused = sorted(key for key in found["unexpected_keys"] if not _is_harmless(key, family))
    drawn: set[str] = set()
    if draws_head and family.head:
        head = family.head[0]
        # An encoder's file has no such head; what else belongs to it is then as new as that.
        new = family.head if not any(key.startswith(head) for key in tensors) else ()
        # A head over the vocabulary has rows for tokens, not for labels: of another size it is a mistake.
        other_labels = {key for key in mismatched if key.startswith(head)} if family.lm_head is None else set()
        drawn = {key for key in missing if key.startswith(new)} | other_labels
    if lacking := sorted(missing - drawn - {*family.computed}):
        besides = f"; it has no place for {_listed(unused)}" if unused else ""
        raise UserError(
            f"'{name}' lacks {_listed(lacking)} of a {family.name} model{besides}",
            "every tensor of the model that config.json describes",
            CHANGE,
        )
    _check_shapes(name, {key: sizes for key, sizes in mismatched.items() if key not in drawn})
    return Account(drawn=sorted(drawn), unused=unused)


def _is_harmless(key: str, family: Family) -> bool:
    is_other_head = family.decoder is None and not key.startswith(family.head) and OTHER_HEADS.search(key)
    return bool(HARMLESS.search(key) or is_other_head)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} tensors, the first {names[0]}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _silence(name: str) -> Iterator[None]:
    """Without the log of a library whose findings are told in our words."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
