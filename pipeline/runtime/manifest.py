"""What an exported folder says of itself, and whether its files are those that were exported.

encoder.onnx     source tokens -> what the decoder attends to, or a classifier's logits
decoder.onnx     one decoding step; not of a classifier
weights.bin      what both share, each matrix once
tokenizer.json   as the tokenizers library reads it
target_tokenizer.json  what writes answers, where targets have a vocabulary of their own
golden.npz       token ids and what the trained model says to them
speed.onnx       one product to be timed, where weights keep few bits in memory
manifest.json    this; nothing else lies in the folder
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config.build import build, to_dict
from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime.manifest_checks import check_export
from pipeline.runtime.manifest_file import (
    DIGEST,
    FIRST_VERSION,
    Earlier,
    check_files,
    difference,
    read_bound,
    read_json,
    write_bound,
)
from pipeline.runtime.manifest_file import MANIFEST as MANIFEST
from pipeline.storage.digests import sha256_of

FORMAT = "dq-onnx/3"
ENCODER, DECODER, WEIGHTS = "encoder.onnx", "decoder.onnx", "weights.bin"
TOKENIZER, TARGET_TOKENIZER, GOLDEN, SPEED = "tokenizer.json", "target_tokenizer.json", "golden.npz", "speed.onnx"
MODEL_FILES = (ENCODER, DECODER, WEIGHTS)  # what counts as the size of the model
NEEDED, OPTIONAL = (ENCODER, WEIGHTS, TOKENIZER, GOLDEN), (TARGET_TOKENIZER, SPEED)


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
    write_bound(folder, FORMAT, asdict(info))


def read_manifest(folder: Path) -> ExportInfo:
    """What an exported folder says of itself, its files checked.

    Raises:
        UserError: not an exported model, a newer format, one that contradicts itself, a missing, changed or additional
            file.
    """
    change = "name a folder that jobs/export.py has written"
    path, manifest = folder / MANIFEST, read_bound(folder, "an exported model", change, FORMAT, EARLIER)
    said = {name: value for name, value in manifest.items() if name not in ("format", "written_by", "sha256", DIGEST)}
    try:
        info = build(ExportInfo, said)
        if place := difference(said, to_dict(info)):
            raise UserError(f"{place} is missing or of another kind", "as it was written", "export it again")
        check_export(info)
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}", "a whole manifest", "export the model again") from None
    needed = NEEDED if info.labels is not None else (*NEEDED, DECODER)
    check_files(folder, manifest.get("sha256"), needed, OPTIONAL)
    return info


def check_source(exported: Path, package: Path) -> None:
    """Check that graphs beside a package are its own; whoever loads either says what else is wrong with it.

    Raises:
        UserError: they were made from another package.
    """
    try:
        said = read_json(exported / MANIFEST)
        source = said.get("source") if isinstance(said, dict) else None
        is_own = source == sha256_of(package / MANIFEST)
    except (OSError, ValueError):
        is_own = False
    if not is_own:
        raise UserError(
            f"{exported} was exported from another student than {package}", "one student", "export it again"
        )


def _from_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 2 says who wrote it, and every token that ends a text."""
    tokens = manifest.get("tokens")
    if isinstance(tokens, dict):
        tokens = {"more_ends": [], **tokens}
    return {**manifest, "format": "dq-onnx/2", "written_by": FIRST_VERSION, "tokens": tokens}


def _from_2(manifest: dict[str, Any]) -> dict[str, Any]:
    """Format 3 is bound by its own digest."""
    return {**manifest, "format": "dq-onnx/3"}


EARLIER: Earlier = {"dq-onnx/1": _from_1, "dq-onnx/2": _from_2}


def model_bytes(folder: Path) -> int:
    """Bytes of graphs and weights on disk: the size of an exported model."""
    return sum((folder / name).stat().st_size for name in MODEL_FILES if (folder / name).is_file())
