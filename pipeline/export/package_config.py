"""The configuration of a package's model, in agreement with the manifest, before a model of it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PretrainedConfig

from pipeline.config.errors import UserError, sentence_of
from pipeline.data.pretrained import read_config
from pipeline.export.package_manifest import CONFIG, MANIFEST, PackageInfo
from pipeline.models.families import family_of
from pipeline.models.special_tokens import check_numbers, special_tokens
from pipeline.runtime.manifest_checks import check_lengths
from pipeline.runtime.manifest_file import AGAIN, read_json

MAX_NUMBER = 1 << 31  # in a configuration
MAX_COMPUTED = 1 << 24  # numbers in a table of positions that a model computes when it is built


def read_model_config(folder: Path, info: PackageInfo) -> PretrainedConfig:
    """The configuration of a package's model, in agreement with its manifest.

    Raises:
        UserError: nothing readable, no model of ours, sizes that no model has, or another depth than the manifest's.
    """
    path = folder / CONFIG
    try:
        config = read_config(folder)
        own = type(config)().to_dict()  # what else stands there is nobody's setting
        if beyond := _beyond({name: value for name, value in read_json(path).items() if name in own}):
            raise ValueError(f"a number of {beyond}")
        family = family_of(config)
        for stack, layers in zip(family.stacks, (info.encoder_map, info.decoder_map), strict=False):
            if (depth := getattr(config, stack.setting)) != len(layers):
                raise ValueError(f"{stack.setting}={depth} where {MANIFEST} has {len(layers)}")
        positions = family.num_positions(config)
        if family.computed and positions is not None and positions * config.hidden_size > MAX_COMPUTED:
            raise ValueError(f"{positions:,} positions of {config.hidden_size:,} numbers each")
        check_numbers(config, str(folder))
        if special_tokens(config).pad is None or (family.decoder and special_tokens(config).start is None):
            raise ValueError("no token to fill rows with, or none to start with")
        _check_kind(config)
        _check_lengths(info, positions, generates=family.decoder is not None)
    except UserError as error:
        raise UserError(f"{path}: {error}", "the configuration that was exported", AGAIN) from None
    except Exception as error:  # a configuration of values that transformers does not expect
        raise UserError(f"{path}: {sentence_of(error)}", "the configuration that was exported", AGAIN) from error
    return config


def _check_kind(config: PretrainedConfig) -> None:
    """What a model is, and what its answers are called."""
    family = family_of(config)
    if family.model_class.__name__ not in (config.architectures or (family.model_class.__name__,)):
        raise ValueError(f"architectures={config.architectures} where a {family.model_class.__name__} is packed")
    if bool(config.is_encoder_decoder) is (family.decoder is None) or getattr(config, "is_decoder", False):
        raise ValueError(f"is_encoder_decoder or is_decoder, of a {family.model_class.__name__}")
    if family.decoder is not None:
        return  # what generates has no use for labels, whatever its starting point called them
    names = [config.id2label[number] for number in sorted(config.id2label)]
    if sorted(config.id2label) != list(range(len(names))) or not all(isinstance(name, str) for name in names):
        raise ValueError("labels that are no texts, numbered from 0")
    if len(set(names)) < len(names):
        raise ValueError("two labels of one name")


def _check_lengths(info: PackageInfo, positions: int | None, *, generates: bool) -> None:
    if positions is not None and info.max_source_tokens > positions:
        raise UserError(f"max_source_tokens={info.max_source_tokens}", f"at most {positions} positions", AGAIN)
    if generates:
        check_lengths(info.decoding, positions)


def _beyond(value: Any) -> Any:
    """The first number in plain data that is larger than any size of a model; none if there is none."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return next((found for one in inside if (found := _beyond(one)) is not None), None)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value)[:40] if is_number and abs(value) > MAX_NUMBER else None
