"""Exported folders: opened, tested by themselves, asked; what they then say is compared.

No check can see what follows, where checksums were made again: graphs, weights and stored answers that pass the
self-test and differ within what it allows, another tokenizer that loads, a setting of the manifest that could be as
well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from handmade import write_exported

from fuzz.case import Case, Subject
from fuzz.checksums import made_again
from fuzz.differences import Difference, plausible
from fuzz.mutations import Change, Files, changed_files, read, write
from fuzz.tiny_models import TEXTS, tokenizer_of_sentences, write_packages
from pipeline.export.onnx.export import export_package
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import DECODER, ENCODER, GOLDEN, MANIFEST, TARGET_TOKENIZER, TOKENIZER, WEIGHTS

SEEN_BY_THE_SELF_TEST = (ENCODER, DECODER, WEIGHTS, GOLDEN)
# Of the manifest: what could be as well, since nothing else says it.
FREE = ("decoding", "tokens", "labels", "source_prefix", "max_source_tokens", "max_positions", "opset", "onnxruntime")
FREE += ("parity", "parts", "written_by")
LABELS = ["no", "yes", "perhaps"]


def prepare(folder: Path) -> list[tuple[dict[str, bytes], dict[str, Any]]]:
    """Exported folders as files, each with what it says: two made by hand, two exported."""
    tokenizer = tokenizer_of_sentences()
    write_exported(folder / "generates", tokenizer)
    write_exported(folder / "classifies", tokenizer, labels=LABELS)
    generates, classifies, *_ = write_packages(folder / "packages")
    export_package(generates, folder / "exported", "exact")
    export_package(classifies, folder / "exported-classifier", "exact")
    names = ("generates", "classifies", "generates", "classifies", "exported", "exported-classifier")
    return [(read(folder / name), said(folder / name)) for name in names]


def said(folder: Path) -> dict[str, Any]:
    """All that an exported folder says of itself and of texts."""
    answerer = OnnxAnswerer(folder, num_threads=1)
    ids = [[0, 5, 9, 2], [0, 30, 2]]
    model = answerer.model
    if answerer.labels is None:
        logits = model.forced_logits(ids, np.array([[2, 7], [2, 9]]))
    else:
        logits = model.classify(ids, [[0] * len(row) for row in ids])
    return {
        "info": asdict(answerer.info),
        "logits": logits.tobytes(),
        "is_finite": bool(np.isfinite(logits).all()),
        "answers": answerer.answers(TEXTS),
        "tokens": answerer.tokenizer.tokenise(TEXTS).ids,
        "text": answerer.tokenizer.text(list(range(5, 60))),
    }


def case(good: list[tuple[dict[str, bytes], dict[str, Any]]], rng: Random, folder: Path) -> Case:
    """One of the folders with something changed, its checksums as they were or made again."""
    number, answer, change, files, note = changed_export(good, rng)
    write(files, folder / "exported")
    return Case(
        change=f"export {number}: {change.what}{note}",
        call=lambda: said(folder / "exported"),
        expected=(answer,),
        is_unseen=unseen(change, good[number][0], is_remade=bool(note)),
    )


def changed_export(
    good: list[tuple[dict[str, bytes], dict[str, Any]]], rng: Random
) -> tuple[int, dict[str, Any], Change, Files, str]:
    """(number, right answer, change, files, a note where checksums were made again)."""
    number = rng.randrange(len(good))
    files, answer = good[number]
    others = [other for index, (other, _) in enumerate(good) if index != number]
    change = _without_checksums(files, rng) if rng.random() < 0.06 else changed_files(files, others, rng)
    if rng.random() < 0.5:
        return number, answer, change, made_again(files, change.files), ", checksums made again"
    return number, answer, change, change.files, ""


def _without_checksums(files: dict[str, bytes], rng: Random) -> Change:
    """A file that changed and is listed no more."""
    change = changed_files({name: data for name, data in files.items() if name != MANIFEST}, [], rng)
    manifest = json.loads(files[MANIFEST])
    manifest["sha256"].pop(change.name, None)
    now = {**change.files, MANIFEST: json.dumps(manifest).encode()}
    return Change(what=f"{change.what}, and listed no more", files=now, kind="unlisted", name=change.name)


def unseen(change: Change, files: dict[str, bytes], is_remade: bool) -> Callable[[Any], bool]:
    """Whether another answer after a change is one that no check can see."""

    def is_unseen(answer: dict[str, Any]) -> bool:
        if not answer["is_finite"]:
            return False
        if change.name == MANIFEST:
            return _is_free(change.difference(files))
        if not is_remade:
            return False
        if change.name in SEEN_BY_THE_SELF_TEST:
            return change.kind == "bytes"
        return change.name in (TOKENIZER, TARGET_TOKENIZER) and change.kind in ("bytes", "json", "taken")

    return is_unseen


def _is_free(found: Difference | None) -> bool:
    """Whether the manifest could say this as well."""
    if found is None or not found.path or found.path[0] not in FREE:
        return False
    if found.path[0] == "max_positions" or found.path[-1] in ("forced_first", "decoder_start", "eos"):
        return found.after is None or plausible(0, found.after)
    return plausible(found.before, found.after)


SUBJECT = Subject(name="exports", prepare=prepare, case=case)
