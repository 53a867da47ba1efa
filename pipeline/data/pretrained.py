"""The one place where transformers reads what others have written: never with code that lies beside it.

A folder or repository may name Python files of its own; transformers would ask on standard output whether to run them,
and take the answer from standard input. Here nobody is asked: such models are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from pipeline.data.foreign_code import check_folder_has_no_code, check_no_code

NO_CODE: dict[str, Any] = {"trust_remote_code": False}


def settings_of(name: str | Path) -> dict[str, Any]:
    """What the `config.json` of a folder or hub name says, as it stands there.

    Raises:
        UserError: it brings code along.
        Exception: those of transformers: nothing there, or nothing readable.
    """
    if Path(name).is_dir():
        check_folder_has_no_code(Path(name), str(name))
    named, _ = PretrainedConfig.get_config_dict(str(name))
    if not Path(name).is_dir():
        check_no_code(named, "config.json", str(name))
    return dict(named)


def read_config(name: str | Path) -> PretrainedConfig:
    """The configuration of a model; errors as of `settings_of`."""
    settings_of(name)
    return AutoConfig.from_pretrained(str(name), **NO_CODE)


def read_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder or hub name; errors as of `settings_of`."""
    if Path(name).is_dir():
        check_folder_has_no_code(Path(name), str(name))
    else:
        check_no_code(get_tokenizer_config(str(name)), "tokenizer_config.json", str(name))
    return AutoTokenizer.from_pretrained(str(name), **NO_CODE)


def read_generation_settings(name: str | Path) -> GenerationConfig:
    """The generation settings of a model, which transformers runs no code for; a folder is checked as a whole."""
    if Path(name).is_dir():
        check_folder_has_no_code(Path(name), str(name))
    return GenerationConfig.from_pretrained(str(name))


def read_model(model_class: Any, name: str | Path | None, **settings: Any) -> Any:
    """What `from_pretrained` of a class of transformers gives; errors as of `settings_of`.

    Args:
        model_class: the class.
        name: folder or hub name; none where weights and configuration are handed in.
        settings: the arguments of `from_pretrained`.
    """
    if name is not None:
        settings_of(name)
    return model_class.from_pretrained(None if name is None else str(name), **settings, **NO_CODE)
