"""A process that holds one model and takes a sample whenever it is asked: one JSON line in, one out.

It is told on its command line which model (JSON: engine, path, threads, options). Its first line says how long loading
took; after that a line {source, new_tokens, seconds} asks for a sample, and the end of its input ends it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.benchmarking.engines.engine import Engine, load_engine

WARM_UP_TOKENS = 2


def main() -> int:
    """Serve until the input ends; a mistake is the last line."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    try:
        request = json.loads(sys.argv[1])
        load = load_engine(request["engine"], Path(request["path"]), request["threads"], request["options"])
        start = time.perf_counter()
        engine = load()
        answer({"load_ms": 1000.0 * (time.perf_counter() - start)})
        for line in sys.stdin:
            answer(sampled(engine, **json.loads(line)))
    except BaseException as error:  # the parent must hear of it, whatever it is
        traceback.print_exc()
        answer({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def sampled(engine: Engine, source: list[list[int]], new_tokens: int, seconds: float) -> dict[str, Any]:
    """Mean times by stage of as many runs as begin within so many seconds, one at least.

    A run before them, short where it generates, does not count: while others were asked, caches and memory have gone to
    them.

    Args:
        engine: the model.
        source: token ids, all rows of one length.
        new_tokens: decoding steps; 0 of an encoder that classifies.
        seconds: as said.

    Raises:
        ValueError: an answer of another shape, or one that is no number.
    """
    array = np.array(source, dtype=np.int64)
    engine.sample(array, min(WARM_UP_TOKENS, new_tokens))
    start = time.perf_counter()
    samples = [engine.sample(array, new_tokens)]
    while time.perf_counter() - start < seconds:
        samples.append(engine.sample(array, new_tokens))
    answer = samples[-1].answer
    if answer.shape != (wanted := (len(source), new_tokens or answer.shape[-1])):
        raise ValueError(f"an answer of {answer.shape}, {wanted} wanted")
    if not np.isfinite(answer).all():
        raise ValueError("an answer that is not finite")
    return {"ms": {stage: sum(sample.ms[stage] for sample in samples) / len(samples) for stage in samples[-1].ms}}


if __name__ == "__main__":
    sys.exit(main())
