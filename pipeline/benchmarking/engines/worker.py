"""A process that holds models of one runtime and takes a sample whenever it is asked: one JSON line in, one out.

It is told on its command line which models (JSON: engine, paths by name, threads, options). Its first lines say how
long loading each of them took; after that a line {model, source, new_tokens, seconds} asks for a sample of one, and the
end of its input ends it.
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
        engines: dict[str, Engine] = {}
        for name, path in request["paths"].items():
            load = load_engine(request["engine"], Path(path), request["threads"], request["options"])
            start = time.perf_counter()
            engines[name] = load()
            answer({"load_ms": 1000.0 * (time.perf_counter() - start)})
        for line in sys.stdin:
            asked = json.loads(line)
            answer(sampled(engines[asked.pop("model")], **asked))
    except BaseException as error:  # the parent must hear of it, whatever it is
        traceback.print_exc()
        answer({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


def sampled(engine: Engine, source: list[list[int]], new_tokens: int, seconds: float) -> dict[str, Any]:
    """Mean times of as many runs as begin within so many seconds, one at least.

    A short run before them does not count: while others were asked, caches and memory have gone to them.
    """
    array = np.array(source, dtype=np.int64)
    engine.sample(array, WARM_UP_TOKENS)
    start, used = time.perf_counter(), time.process_time()
    samples = [engine.sample(array, new_tokens)]
    while time.perf_counter() - start < seconds:
        samples.append(engine.sample(array, new_tokens))
    used = time.process_time() - used
    if (shape := samples[-1].tokens.shape) != (wanted := (len(source), new_tokens)):
        raise ValueError(f"{shape} tokens decoded, {wanted} wanted")
    return {
        "encode_ms": sum(sample.encode_ms for sample in samples) / len(samples),
        "decode_ms": sum(sample.decode_ms for sample in samples) / len(samples),
        "processor_ms": 1000.0 * used / len(samples),
    }


if __name__ == "__main__":
    sys.exit(main())
