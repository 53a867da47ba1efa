"""The job `generate`: a student's answers to a text, a file of texts or standard input."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.config.errors import UserError
from pipeline.config.jobs.generate import GenerateJob
from pipeline.config.sections.export import AS_TRAINED
from pipeline.console.progress import ProgressBar
from pipeline.export.answer import Answerer
from pipeline.export.onnx.export_once import exported_anew
from pipeline.export.package import MANIFEST
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.inputs import Texts, read_texts, with_second
from pipeline.runtime.manifest import check_source, read_manifest
from pipeline.runtime.outputs import check_output, silence, write_answers, write_streams
from pipeline.stages.use.find_student import FoundModel, find_model
from pipeline.storage.digests import sha256_of
from pipeline.storage.layout import open_storage, personal_path

log = logging.getLogger(__name__)


def run(config: GenerateJob) -> dict[str, Any]:
    """Answer the texts that `generate.text` means.

    Returns:
        the document of the job.

    Raises:
        UserError: no such model, no such texts, or something that this model cannot do; nothing is written then.
    """
    settings = config.generate
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as texts are read, whatever the terminal's language
    output = None if settings.output is None else personal_path(settings.output)
    if output is not None:
        check_output(output)
    model = find_model(config, settings.model)
    texts = _texts(settings.text, settings.second)
    runtime, answerer = _answerer(config, model)
    try:
        if settings.stream:
            assert isinstance(answerer, OnnxAnswerer)
            if texts.second is not None:
                raise UserError("stream=true for pairs of texts", "single texts", "leave out stream")
            write_streams(answerer.streams(texts.first, **settings.decoding))
        else:
            answers = _answers(answerer, texts, settings.decoding)
            write_answers(answers, texts, output=output, jsonl=settings.jsonl)
    except BrokenPipeError:  # nobody reads on
        silence()
    return {
        "status": "finished",
        "model": model.name,
        "runtime": runtime,
        "num_texts": len(texts.first),
        "output": None if output is None else str(output.absolute()),
    }


def _texts(source: str, second: str | None) -> Texts:
    if source == "-" and sys.stdin is not None and sys.stdin.isatty():
        log.info("reading texts from the terminal, one a line; end with Ctrl-D")
    return with_second(read_texts(source), second)


def _answerer(config: GenerateJob, model: FoundModel) -> tuple[str, Answerer | OnnxAnswerer]:
    """What answers, and the name of its runtime."""
    settings = config.generate
    if settings.runtime == "torch" or (settings.runtime == "auto" and model.exported is None):
        if model.package is None:
            raise UserError(
                f"runtime=torch for {settings.model}, which is exported", "onnx", "name the package, or leave it out"
            )
        if settings.stream:
            raise UserError("stream=true with runtime=torch", "runtime=onnx", "set runtime=onnx, or do not stream")
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return "torch", Answerer(model.package, config.evaluation.batch_tokens, device, settings.too_long)
    folder = model.exported if model.exported is not None else _exported(config, model)
    batch_tokens = config.evaluation.batch_tokens
    return "onnx", OnnxAnswerer(
        folder, num_threads=settings.threads, batch_tokens=batch_tokens, too_long=settings.too_long
    )


def _exported(config: GenerateJob, model: FoundModel) -> Path:
    """A package's graphs in the cache; made anew where they are damaged, or of another format."""
    assert model.package is not None
    digest = sha256_of(model.package / MANIFEST)
    folder = open_storage(config.storage.path).cache / "exports" / f"{digest[:16]}-{AS_TRAINED}"
    try:
        read_manifest(folder)
        check_source(folder, model.package)
    except UserError as error:
        if folder.is_dir():
            log.warning(f"the cache is of no use: {error.given}")
        log.info(f"{model.package} is exported as `{AS_TRAINED}` into {folder}, once")
        try:
            exported_anew(model.package, folder, AS_TRAINED)
        except OSError as broken:
            what = broken.strerror or broken
            raise UserError(f"{folder}: {what}", "a folder to write in", "set storage.path") from broken
    return folder


def _answers(answerer: Answerer | OnnxAnswerer, texts: Texts, decoding: dict[str, Any]) -> list[str]:
    done, bar = 0, ProgressBar("answering", len(texts.first), shown=texts.origin != "text")

    def on_batch(num_texts: int) -> None:
        nonlocal done
        done += num_texts
        bar.update(done)

    try:
        return answerer.answers(texts.first, texts.second, on_batch=on_batch, **decoding)
    finally:
        bar.close()
