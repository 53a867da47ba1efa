"""What an exported folder says of itself, and whether its files are those that were exported.

encoder.onnx     source tokens -> what the decoder attends to, or a classifier's logits
decoder.onnx     one decoding step; not of a classifier
weights.bin      what both share, each matrix once
tokenizer.json   as the tokenizers library reads it
target_tokenizer.json  what writes answers, where targets have a vocabulary of their own
golden.npz       token ids and what the trained model says to them
speed.onnx       one product to be timed, where weights keep few bits in memory
manifest.json    this
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import WRITTEN_BY
from pipeline.config.build import build
from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig
from pipeline.storage.digests import sha256_of

FORMAT = "dq-onnx/2"
MANIFEST, ENCODER, DECODER, WEIGHTS = "manifest.json", "encoder.onnx", "decoder.onnx", "weights.bin"
TOKENIZER, TARGET_TOKENIZER, GOLDEN = "tokenizer.json", "target_tokenizer.json", "golden.npz"
MODEL_FILES = (ENCODER, DECODER, WEIGHTS)  # what counts as the size of the model
FIRST_VERSION = "dq-pipeline 0.1.0"  # wrote what does not say who wrote it
Earlier = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class TokenIds:
    """The tokens that decoding knows by number."""

    pad: int
    eos: int | None = None  # forced where a text may not become longer
    more_ends: list[int] = field(default_factory=list)  # they end a text as well
    decoder_start: int | None = None
    forced_first: int | None = None  # mBART-50's language code
    suppressed: list[int]  # never generated

    @property
    def ends(self) -> list[int]:
        """Every token that ends a text."""
        return [] if self.eos is None else [self.eos, *self.more_ends]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the graphs are from the trained model on the golden inputs."""

    logits_error: float  # |ours - torch fp32| / |torch fp32|
    floor: float  # the same of torch fp64 and torch fp32: what rounding alone does
    same_choices: float  # part of the positions with the same likeliest token


@dataclass(frozen=True, kw_only=True)
class ExportInfo:
    """An exported model.

    Args:
        variant: exact, fast or openvino.
        family: of the model, e.g. bart.
        scheme_name: `W-E-A`.
        decoding: as it was evaluated.
        tokens: special tokens.
        labels: a classifier's labels in their order; none of a model that generates.
        source_prefix: put before every text.
        max_source_tokens: longer sources lose their end.
        max_positions: longest generated sequence; none without a limit.
        opset: of the graphs.
        onnxruntime: the oldest release that runs them as fast as they should.
        parity: measured when it was exported.
        source: digest of the package's manifest, so that everyone knows what was exported.
        parts: name of every stored tensor -> {bytes, bits, stored_as}.
    """

    variant: str
    family: str
    scheme_name: str
    decoding: DecodingConfig
    tokens: TokenIds
    labels: list[str] | None
    source_prefix: str
    max_source_tokens: int
    max_positions: int | None
    opset: int
    onnxruntime: str
    parity: Parity
    source: str
    parts: dict[str, dict[str, Any]]


def write_manifest(folder: Path, info: ExportInfo) -> None:
    """Write the manifest of a folder whose other files are there."""
    digests = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    text = json.dumps({"format": FORMAT, "written_by": WRITTEN_BY, **asdict(info), "sha256": digests}, indent=2)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> ExportInfo:
    """What an exported folder says of itself, its files checked.

    Raises:
        UserError: not an exported model, a newer format, a missing or changed file.
    """
    path, change = folder / MANIFEST, "name a folder that jobs/export.py has written"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # also text that is no UTF-8 or no JSON
        raise UserError(f"{folder} is not an exported model: {error}", f"a folder with {MANIFEST}", change) from None
    if not isinstance(manifest, dict) or not str(manifest.get("format", "")).startswith("dq-onnx/"):
        raise UserError(f"{path} is not the manifest of an exported model", f"format {FORMAT}", change)
    manifest = as_written_today(manifest, EARLIER)
    check_format(manifest, path, FORMAT, EARLIER)
    del manifest["format"], manifest["written_by"]
    digests = manifest.pop("sha256", None)
    if not isinstance(digests, dict) or not {ENCODER, WEIGHTS} <= set(digests):
        raise UserError(f"{path} lacks checksums", "a whole manifest", "export the model again")
    for name, digest in digests.items():
        _check_file(folder / name, digest)
    try:
        return build(ExportInfo, manifest)
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}", "a whole manifest", "export the model again") from None


def as_written_today(manifest: dict[str, Any], earlier: Earlier) -> dict[str, Any]:
    """A manifest of an earlier format as this version would have written it, step by step; others as they are.

    Args:
        manifest: as it was read.
        earlier: formats that can still be read -> one step towards today's.
    """
    while (step := earlier.get(str(manifest.get("format")))) is not None:
        manifest = step(manifest)
    return manifest


def check_format(manifest: dict[str, Any], path: Path, format_: str, earlier: Earlier) -> None:
    """Check that a manifest is of today's format and says who wrote it.

    Raises:
        UserError: of another one, or nobody wrote it.
    """
    writer = manifest.get("written_by")
    if manifest.get("format") != format_:
        found, readable = manifest.get("format"), ", ".join((format_, *earlier))
        change = "use the version that wrote it" + (f", {writer}" if isinstance(writer, str) else "")
        raise UserError(f"format '{found}' in {path}", readable, change)
    if not isinstance(writer, str):
        raise UserError(f"{path} lacks 'written_by'", "a whole manifest", "export it again")


def _from_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 2 says who wrote it."""
    return {**manifest, "format": "dq-onnx/2", "written_by": FIRST_VERSION}


EARLIER: Earlier = {"dq-onnx/1": _from_1}


def _check_file(file: Path, digest: Any) -> None:
    try:
        if file.is_file() and sha256_of(file) == digest:
            return
        state = "has changed" if file.is_file() else "is missing"
    except OSError as error:
        state = f"cannot be read: {error.strerror}"
    raise UserError(f"{file} {state}", "files as they were exported (SHA-256)", "copy or export it again")


def model_bytes(folder: Path) -> int:
    """Bytes of graphs and weights on disk: the size of an exported model."""
    return sum((folder / name).stat().st_size for name in MODEL_FILES if (folder / name).is_file())
