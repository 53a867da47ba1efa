"""Packages: the folder is loaded, and what it then says, tokenises and knows of itself is compared.

No check can see what follows, where checksums were made again: another finite number or code among the weights, another
tokenizer that loads, a setting of config.json or of the manifest that could be as well. All else must be refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import torch

from fuzz.case import Case, Subject
from fuzz.checksums import made_again
from fuzz.differences import ABSENT, Difference, plausible
from fuzz.mutations import Change, changed_files, read, write
from fuzz.tiny_models import TEXTS, write_packages
from pipeline.export.answer import Answerer
from pipeline.export.package import MANIFEST, WEIGHTS, default_decoding

CONFIG = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# Of the manifest: what could be as well, since nothing else says it; of the configuration: what shapes do not say.
FREE = ("decoding", "source_prefix", "source_language", "target_language", "max_source_tokens", "written_by")
FREE += ("encoder_map", "decoder_map", "heads")
OF_SHAPES = ("layers", "d_model", "ffn_dim", "hidden_size", "intermediate_size", "vocab_size", "d_ff", "d_kv")
OF_SHAPES += ("model_type", "architectures", "positions", "position_embeddings")
FOREIGN = b"raise SystemExit('foreign code ran')\n"


def prepare(folder: Path) -> list[tuple[dict[str, bytes], dict[str, Any]]]:
    """Packages as files, each with what it says."""
    torch.set_num_threads(1)
    return [(read(package), said(package)) for package in write_packages(folder)]


def said(folder: Path) -> dict[str, Any]:
    """All that a package says of itself and of texts."""
    torch.set_num_threads(1)
    with patch("sys.stdin", StringIO("y\n" * 99)):  # whatever is asked, the answer is yes
        answerer = Answerer(folder)
    model, info, usual = answerer.model, answerer.info, default_decoding(folder)
    ids = torch.arange(5, 17).view(2, 6)
    start = {} if answerer.labels is not None else {"decoder_input_ids": ids[:, :3]}
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **start).logits
    return {
        "info": repr(info),
        "usual": None if usual is None else asdict(usual),
        "labels": answerer.labels,
        "logits": logits.numpy().tobytes(),
        "is_finite": bool(torch.isfinite(logits).all()),
        "tokens": answerer.tokenizer(TEXTS).data,
        "text": answerer.tokenizer.decode(range(5, 60)),
        "answers": answerer.answers(TEXTS[:1]),
    }


def case(good: list[tuple[dict[str, bytes], dict[str, Any]]], rng: Random, folder: Path) -> Case:
    """One of the packages with something changed, its checksums as they were or made again."""
    number = rng.randrange(len(good))
    files, answer = good[number]
    change = _change(files, [other for index, (other, _) in enumerate(good) if index != number], rng)
    remade = rng.random() < 0.5
    now = made_again(files, change.files) if remade else change.files
    write(now, folder / "package")
    return Case(
        change=f"package {number}: {change.what}{', checksums made again' if remade else ''}",
        call=lambda: said(folder / "package"),
        expected=(answer,),
        is_unseen=unseen(change, files, remade),
    )


def _change(files: dict[str, bytes], others: list[dict[str, bytes]], rng: Random) -> Change:
    way = rng.random()
    if way < 0.06:
        return _with_foreign_code(files, rng)
    if way < 0.12:
        return _without_checksums(files, rng)
    return changed_files(files, others, rng)


def _with_foreign_code(files: dict[str, bytes], rng: Random) -> Change:
    """Names of Python in the folder that transformers would run for whoever says yes."""
    name, kind = rng.choice(
        [(CONFIG, "AutoConfig"), (CONFIG, "AutoModelForSeq2SeqLM"), ("tokenizer_config.json", "AutoTokenizer")]
    )
    own = ["foreign.Own", None] if kind == "AutoTokenizer" else "foreign.Own"
    entry = json.dumps({"auto_map": {kind: own}})[1:-1]
    text = files[name].decode().replace("{", "{" + entry + ",", 1)
    if rng.random() < 0.5:
        text = text.replace('"model_type": "', '"model_type": "own-')
    now = {**files, name: text.encode(), "foreign.py": FOREIGN}
    return Change(what=f"{name} names foreign code as {kind}", files=now, kind="added", name="foreign.py")


def _without_checksums(files: dict[str, bytes], rng: Random) -> Change:
    """A file that changed and is listed no more."""
    change = changed_files({name: data for name, data in files.items() if name != MANIFEST}, [], rng)
    lines = files[MANIFEST].decode().split("\n")
    start = next(index for index, line in enumerate(lines) if '"sha256"' in line)
    end = next(index for index in range(start, len(lines)) if "}" in lines[index])
    kept = [line for line in lines[start + 1 : end] if f'"{change.name}"' not in line and rng.random() < 0.5]
    if kept:
        kept[-1] = kept[-1].rstrip(",")
    text = "\n".join([*lines[: start + 1], *kept, *lines[end:]])
    what = f"{change.what}, of the checksums {len(kept)} are left"
    return Change(what=what, files={**change.files, MANIFEST: text.encode()}, kind="unlisted", name=change.name)


def unseen(change: Change, files: dict[str, bytes], remade: bool) -> Callable[[Any], bool]:
    """Whether another answer after a change is one that no check can see."""

    def is_unseen(answer: dict[str, Any]) -> bool:
        if not answer["is_finite"]:
            return False
        if change.name == MANIFEST:
            return _is_free(change.difference(files))
        if not remade or change.kind not in ("bytes", "json", "taken", "added"):
            return False
        if change.name == WEIGHTS:
            return _has_the_same_header(files[WEIGHTS], change.files[WEIGHTS])
        if change.name == CONFIG:
            return _is_no_shape(change.difference(files))
        return change.name in TOKENIZER_FILES

    return is_unseen


def _is_free(found: Difference | None) -> bool:
    """Whether the manifest could say this as well."""
    if found is None or not found.path or found.path[0] not in FREE:
        return False
    if found.path[0] in ("source_language", "target_language"):
        return found.after is None or plausible("", found.after)
    return plausible(found.before, found.after)


def _is_no_shape(found: Difference | None) -> bool:
    """Whether a configuration could say this as well; what it leaves out has a value of its own."""
    if found is None or not found.path or any(part in str(found.path[0]) for part in OF_SHAPES):
        return False
    return found.after is ABSENT or found.before is ABSENT or plausible(found.before, found.after)


def _has_the_same_header(one: bytes, other: Any) -> bool:
    """Whether two files of safetensors name the same tensors in the same places."""
    if not isinstance(other, bytes) or len(one) != len(other):
        return False
    end = 8 + int.from_bytes(one[:8], "little")
    return one[:end] == other[:end]


SUBJECT = Subject(name="packages", prepare=prepare, case=case)
