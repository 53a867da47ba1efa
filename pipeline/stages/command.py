"""The frame of every job: arguments in, one JSON document on the last line of stdout, an exit code out."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.load import help_text, load_config, to_yaml
from pipeline.config.schema import JobConfig

# Keys whose values may stand first without their names, by job.
POSITIONAL = {"compare": ("comparison.first", "comparison.second"), "benchmark": ("benchmark.kind",)}


def named(job: str, words: list[str]) -> list[str]:
    """Words that are no `key=value` get the keys of their places; more of them than places are refused later.

    A run's name may hold `=`: `2-2-8 6-3 seed=1`.
    """
    keys = iter(POSITIONAL.get(job, ()))
    given = (re.match(r"[A-Za-z_][\w.]*=", word) or (key := next(keys, None)) is None for word in words)
    return [word if keyed else f"{key}={word}" for word, keyed in zip(words, given, strict=True)]


def main(
    job: str,
    summary: str | None,
    run: Callable[[JobConfig], dict[str, Any]],
    dry_run: Callable[[JobConfig], dict[str, Any]] | None = None,
) -> int:
    """Run a job from the command line.

    Args:
        job: its name.
        summary: one line for `--help`.
        run: what it does.
        dry_run: what it does under `--dry-run`; none if it knows no such thing.

    Returns:
        0: done; 1: done, but a student failed; 2: the user can mend it, one paragraph on stderr says how; 3: a crash.
    """
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(help_text(job, summary or job, POSITIONAL.get(job, ())))
        return 0
    try:
        words = [word for word in arguments if word not in ("--print-config", "--dry-run")]
        config = load_config(job, named(job, words))
        if "--print-config" in arguments:
            print(to_yaml(config), end="")
            return 0
        warnings.filterwarnings("ignore", category=FutureWarning)
        if "--dry-run" in arguments:
            if dry_run is None:
                raise UserError(f"--dry-run of {job}", "dq_sweep, which has a plan", "leave it out")
            run = dry_run
        result = run(config)
    except UserError as error:
        paragraph = textwrap.fill(f"{job}: {error}", width=110, break_long_words=False, break_on_hyphens=False)
        print(paragraph, file=sys.stderr)
        print(json.dumps({"status": "mistake", "error": str(error)}), flush=True)
        return 2
    except Exception as error:  # the last line is a document, also of a crash
        traceback.print_exc()
        print(json.dumps({"status": "error", "error": f"{type(error).__name__}: {error}"}), flush=True)
        return 3
    print(json.dumps(result, sort_keys=True), flush=True)
    return 0 if result["status"] in ("finished", "planned") else 1
