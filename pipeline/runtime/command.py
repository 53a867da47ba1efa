"""The command that answers texts with an exported model, where nothing but the runtime is installed."""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline import WRITTEN_BY
from pipeline.config.errors import UserError
from pipeline.console.log import log_to_stderr
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.archive import opened
from pipeline.runtime.inputs import read_texts, with_second
from pipeline.runtime.outputs import check_output, silence, write_answers, write_streams
from pipeline.runtime.request import TOO_LONG

PROGRAM = "python -m pipeline.runtime"
MISTAKE, INTERRUPTED, PIPE_CLOSED = 2, 130, 141  # the last two as shells count them


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0: done; 2: the user can mend it, one paragraph on stderr says how; 130: interrupted; 141: nobody reads on.
    """
    options = parser().parse_intermixed_args(arguments)  # a text may stand behind options
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as texts are read, whatever the terminal's language
    try:
        log_to_stderr()
        _answer(options)
    except UserError as error:
        print(textwrap.fill(str(error), width=110, break_long_words=False, break_on_hyphens=False), file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return PIPE_CLOSED
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments that it takes."""
    known = argparse.ArgumentParser(
        prog=PROGRAM, description="Answer texts with an exported model.", allow_abbrev=False
    )
    known.add_argument("--version", action="version", version=WRITTEN_BY)
    known.add_argument("model", type=Path, metavar="FOLDER", help="an exported model, or the .zip of one")
    known.add_argument(
        "source",
        nargs="?",
        metavar="TEXT|FILE|-",
        help='a text; a file with one text a line, or .jsonl with {"text": ...} a line; - or nothing: standard input',
    )
    known.add_argument("--second", metavar="TEXT", help="the other text of a pair, for a classifier of pairs")
    known.add_argument("--threads", type=int, metavar="N", help="threads (default: the cores it may use)")
    known.add_argument("--spinning", action="store_true", help="threads wait in a loop: for a machine of one's own")
    known.add_argument("--beams", type=int, metavar="N", help="beam width (default: as evaluated)")
    known.add_argument("--max-length", type=int, metavar="N", help="most tokens of an answer (default: as evaluated)")
    known.add_argument("--min-length", type=int, metavar="N", help="least tokens of an answer (default: as evaluated)")
    known.add_argument("--too-long", choices=TOO_LONG, default="cut", help="a text that is too long (default: cut)")
    known.add_argument("--jsonl", action="store_true", help="answers as JSON lines, each with its text")
    known.add_argument(
        "--output", type=Path, metavar="FILE", help="a file for the answers, written whole or not at all"
    )
    known.add_argument("--stream", action="store_true", help="print a text as it is generated")
    known.add_argument("--no-check", action="store_true", help="leave out the self-test at the start")
    return known


def _answer(options: argparse.Namespace) -> None:
    if options.stream and (options.jsonl or options.output):
        raise UserError("--stream with --jsonl or --output", "plain answers on the console", "leave one of them out")
    if options.output is not None:
        check_output(options.output)
    with opened(options.model) as folder:
        texts = with_second(read_texts(options.source), options.second)
        settings: dict[str, Any] = {"num_threads": options.threads, "spinning": options.spinning}
        answerer = OnnxAnswerer(folder, **settings, too_long=options.too_long, check=not options.no_check)
        requested = {"num_beams": options.beams, "max_length": options.max_length, "min_length": options.min_length}
        decoding = {name: value for name, value in requested.items() if value is not None}
        if options.stream:
            if texts.second is not None:
                raise UserError("--stream of pairs", "single texts", "leave out --stream")
            write_streams(answerer.streams(texts.first, **decoding))
            return
        with tqdm(total=len(texts.first), unit=" texts", disable=texts.origin == "text") as bar:
            answers = answerer.answers(texts.first, texts.second, on_batch=bar.update, **decoding)
        write_answers(answers, texts, output=options.output, jsonl=options.jsonl)
