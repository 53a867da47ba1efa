"""Packages and exports of earlier formats load for ever, and say what they said when they were written."""

import json

import pytest
import torch
from fixtures.expect import HERE, expected, said_by_export, said_by_package

from pipeline.config.errors import UserError
from pipeline.export.package import FORMAT as PACKAGE_FORMAT
from pipeline.export.package import load_package
from pipeline.runtime.manifest import FORMAT as EXPORT_FORMAT
from pipeline.runtime.manifest import read_manifest
from pipeline.runtime.manifest_file import bound

PACKAGES = sorted(HERE.glob("dq-packed-*/*"))
EXPORTS = sorted(HERE.glob("dq-onnx-*/*"))


def name_of(folder):
    return f"{folder.parent.name}/{folder.name}"


def test_every_format_that_was_written_is_kept():
    """Today's, too: the day it is an earlier one, nobody can make its fixtures. Else the laws below hold of nothing."""
    kept = {json.loads((folder / "manifest.json").read_text())["format"] for folder in [*PACKAGES, *EXPORTS]}
    assert kept == {f"dq-packed/{n}" for n in (3, 4, 5)} | {f"dq-onnx/{n}" for n in (1, 2, 3)}
    assert {PACKAGE_FORMAT, EXPORT_FORMAT} <= kept
    assert len(PACKAGES) >= 6 and len(EXPORTS) >= 5


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_an_old_package_has_the_weights_and_the_logits_it_had(folder):
    """Weights bit for bit; logits up to the order in which a processor adds."""
    then = expected(folder)
    now = said_by_package(folder, then["sources"])
    assert now["dense_sha256"] == then["dense_sha256"]
    for logits, before in zip(now["first_logits"], then["first_logits"], strict=True):
        torch.testing.assert_close(torch.tensor(logits), torch.tensor(before)[:16], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("folder", EXPORTS, ids=name_of)
def test_an_old_export_answers(folder):
    """Its own check of the graphs against the trained model passes, and every text gets an answer."""
    then = expected(folder)
    now = said_by_export(folder, then["texts"])
    assert len(now["answers"]) == len(then["texts"])
    if folder.name.startswith("8_8_8"):  # labels do not turn on a last bit, made-up tokens may
        assert now["answers"] == then["answers"]


@pytest.mark.parametrize("folder", [PACKAGES[-1], EXPORTS[-1]], ids=name_of)
@pytest.mark.parametrize("writer", [None, "dq-pipeline 9.0.0"])
def test_a_manifest_says_who_wrote_it(folder, writer, tmp_path):
    """One that does not is not whole; of a newer format it says which version reads it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["written_by"].startswith("dq-pipeline ")
    kind = manifest["format"].partition("/")[0]
    changed = {"written_by": writer} if writer is None else {"written_by": writer, "format": f"{kind}/99"}
    (tmp_path / "manifest.json").write_text(json.dumps(bound({**manifest, **changed})))
    read = load_package if kind == "dq-packed" else read_manifest
    said = "lacks 'written_by'" if writer is None else f"use the version that wrote it, {writer}"
    with pytest.raises(UserError, match=said):
        read(tmp_path)
