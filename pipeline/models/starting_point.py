"""What a model is before it is loaded: family, layers, positions. Known without torch and transformers, so at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.layers import CONF_DIR
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.model import ModelConfig
from pipeline.data.foreign_code import check_folder_has_no_code
from pipeline.storage.layout import seen_as_path

OTHER_FORMATS = (".bin", ".pt", ".h5", ".msgpack", ".ot")


@dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """What decides which tasks, lengths and students a model can have.

    Args:
        family: its name.
        num_layers: encoder and decoder layers; 0 decoder layers: an encoder alone.
        num_positions: longest sequence in tokens; none: without a limit.
    """

    family: str
    num_layers: tuple[int, int]
    num_positions: int | None


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a family's configurations call layers and positions; a law holds them to the families' adapters."""

    encoder: str = "encoder_layers"
    decoder: str | None = "decoder_layers"
    positions: str | None = "max_position_embeddings"
    pads_positions: bool = False  # those up to the padding token's are not used

    @property
    def kinds(self) -> tuple[ModelKind, ...]:
        """Which kinds of models the family has."""
        return ("classifier", "masked LM") if self.decoder is None else ("seq2seq",)


SETTINGS = {
    "bart": _Settings(),
    "bert": _Settings(encoder="num_hidden_layers", decoder=None),
    "marian": _Settings(),
    "mbart": _Settings(),
    "mt5": _Settings(encoder="num_layers", decoder="num_decoder_layers", positions=None),
    "pegasus": _Settings(),
    "roberta": _Settings(encoder="num_hidden_layers", decoder=None, pads_positions=True),
    "t5": _Settings(encoder="num_layers", decoder="num_decoder_layers", positions=None),
}


def families_of_kind(kind: ModelKind) -> list[str]:
    """Names of the families whose models can be of a kind."""
    return sorted(name for name, settings in SETTINGS.items() if kind in settings.kinds)


def starting_point(model: ModelConfig) -> StartingPoint | None:
    """What a model is, from its settings or from the `config.json` of its folder.

    Returns:
        none for a hub name, or a file that leaves something to defaults that only transformers knows.

    Raises:
        UserError: no such folder, none with safetensors, another family than `model.family`, or an unknown one.
    """
    if not model.pretrained:
        settings, shape = _settings_of(model.family or "bart"), model.architecture
        return StartingPoint(
            family=model.family or "bart",
            num_layers=(shape.encoder_layers, shape.decoder_layers if settings.decoder else 0),
            num_positions=shape.max_positions if settings.positions else None,
        )
    if (folder := local_folder(model.pretrained, "model.pretrained")) is None:
        return None
    check_format(folder, model.pretrained)  # before the configuration: weights may be all that such a folder has
    check_folder_has_no_code(folder, model.pretrained)
    named = _read_config(folder, model.pretrained)
    if (family := str(named.get("model_type"))) != (model.family or family):
        given = f"'{model.pretrained}' is a {family} model"
        raise UserError(given, f"family {model.family}", "leave model.family empty")
    return _from_config(family, named)


def local_folder(name: str, option: str) -> Path | None:
    """The folder that a name means, from here or from the repository; none for a name on the hub.

    Raises:
        UserError: a path to nothing, or to what cannot be looked at.
    """
    with seen_as_path(f"{option}={name}"):
        for path in (Path(name), CONF_DIR.parent / name):
            if path.is_dir():
                return path
        is_there = Path(name).exists()
    # owner/name may be on the hub; a path says that it is one
    if name.startswith(("/", "~", ".")) or name.count("/") > 1 or is_there:
        remedy = "write the path without ~, which only a shell reads" if name.startswith("~") else f"set {option}"
        raise UserError(
            f"{option}={name}: there is no such folder", "a folder made by save_pretrained, or a hub name", remedy
        )
    return None


def check_format(folder: Path, name: str) -> None:
    """Refuse a folder whose weights are in another format than safetensors.

    Args:
        folder: where the model lies.
        name: what the user calls it.

    Raises:
        UserError: as said.
    """
    if any(folder.glob("*.safetensors")):
        return
    others = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_FORMATS)
    found = f"only {', '.join(others[:3])}" if others else "no weights"
    raise UserError(
        f"'{name}' holds {found}",
        "model.safetensors: other formats can run code when they are read",
        "load it once with transformers, if you trust whoever wrote it, and write it with save_pretrained"
        if others
        else "name a folder that save_pretrained of a whole model has written",
    )


def check_family(name: str, option: str) -> None:
    """Refuse a family that there is not.

    Raises:
        UserError: as said.
    """
    if name not in SETTINGS:
        raise UserError(f"model family '{name}'", f"one of {', '.join(sorted(SETTINGS))}", f"set {option}")


def _settings_of(family: str) -> _Settings:
    check_family(family, "model.pretrained or model.family")
    return SETTINGS[family]


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    allowed = "a folder made by save_pretrained, with config.json"
    try:
        named = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        given = f"no model at '{name}': there is no config.json"
        raise UserError(given, allowed, "set model.pretrained") from None
    except (OSError, ValueError) as error:
        given = f"no model at '{name}': config.json cannot be read: {error}"
        raise UserError(given, allowed, "mend it, or set model.pretrained") from None
    if not isinstance(named, dict) or not isinstance(named.get("model_type"), str):
        given = f"no model at '{name}': config.json names no model_type"
        raise UserError(given, allowed, "set model.pretrained")
    return named


def _from_config(family: str, named: dict[str, Any]) -> StartingPoint | None:
    settings, pad = _settings_of(family), "pad_token_id"
    wanted = [settings.encoder, settings.decoder, settings.positions, pad if settings.pads_positions else None]
    counts = {key: value for key in wanted if key is not None and type(value := named.get(key)) is int}
    if len(counts) < len([key for key in wanted if key is not None]):
        return None
    num_positions = counts[settings.positions] if settings.positions else None
    if num_positions is not None and settings.pads_positions:
        num_positions -= counts[pad] + 1
    num_layers = (counts[settings.encoder], counts[settings.decoder] if settings.decoder else 0)
    return StartingPoint(family=family, num_layers=num_layers, num_positions=num_positions)
