"""Graphs in ONNX Runtime: opened with settings that suit them, refused with a sentence where they cannot be opened."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipeline.config.errors import UserError, sentence_of

Array = np.ndarray[Any, Any]
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
MOST_THREADS = 256  # on fewer cores; onnxruntime crashes where the system has no more threads to give
FATAL = 4  # onnxruntime's own log: errors reach the caller as exceptions


class Graph:
    """One graph, open. Tensors go in and come out as OrtValues, which are never copied.

    Args:
        path: the .onnx file; its external data lies beside it.
        num_threads: of one operator; none for as many as this process may use.
        spinning: threads wait for work in a loop: faster on an idle machine, much slower on a busy one.

    Raises:
        UserError: onnxruntime cannot run it: damaged, or made for a newer release.
    """

    def __init__(self, path: Path, *, num_threads: int | None = None, spinning: bool = False) -> None:
        self.path = path
        options = _options(num_threads, spinning)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # or it prints on standard output, and tries the same again
            )
        except Exception as error:  # those of onnxruntime have no common ancestor
            raise _refused(
                f"{path} cannot be opened",
                error,
                "a whole graph of operators that this release knows",
                "copy or export it again, or install a newer onnxruntime",
            ) from error
        give_back_memory()
        self.inputs: dict[str, Any] = {node.name: node for node in self._session.get_inputs()}
        self._shapes: dict[str, list[Any]] = {node.name: node.shape for node in self._session.get_outputs()}
        self.outputs: list[str] = list(self._shapes)

    def __call__(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Run it; the tensors that it does not ask for are left out.

        Args:
            feeds: name -> OrtValue.

        Raises:
            UserError: onnxruntime cannot compute it: a graph that contradicts itself, or too little memory.
        """
        known = {name: value for name, value in feeds.items() if name in self.inputs}
        try:
            values = self._session.run_with_ort_values(self.outputs, known)
        except Exception as error:  # those of onnxruntime have no common ancestor
            raise _refused(
                f"{self.path} cannot be run",
                error,
                "a graph and a tokenizer that belong together, and memory for its batches",
                "copy or export it again, or answer fewer texts at a time",
            ) from error
        return dict(zip(self.outputs, values, strict=True))

    def empty(self, name: str, num_rows: int, growing: str) -> Any:
        """An input before anything was said: of `num_rows` rows, its axis called `growing` of length 0.

        Raises:
            UserError: the axes of the input are not those of this contract.
        """
        node = self.inputs[name]
        rows, *axes = node.shape
        if isinstance(rows, int) or [axis for axis in axes if not isinstance(axis, int)] != [growing]:
            raise _not_ours(self.path, f"the input {name} has the shape {node.shape}")
        shape = [num_rows, *(axis if isinstance(axis, int) else 0 for axis in axes)]
        return value_of(np.zeros(shape, self.dtype(name)))

    def dtype(self, name: str) -> type[np.generic]:
        """The numpy type of an input.

        Raises:
            UserError: numpy has none.
        """
        kind = self.inputs[name].type
        if kind not in DTYPES:
            raise _not_ours(self.path, f"the input {name} is a {kind}")
        return DTYPES[kind]

    def width(self, name: str) -> int:
        """The length of the last axis of an output.

        Raises:
            UserError: it has none that is fixed.
        """
        shape = self._shapes[name]
        if not shape or not isinstance(shape[-1], int):
            raise _not_ours(self.path, f"the output {name} has the shape {shape}")
        return shape[-1]

    def expect(self, inputs: set[str], outputs: set[str]) -> None:
        """Check that the graph takes and gives these, whatever else.

        Raises:
            UserError: it does not.
        """
        if lacking := sorted((inputs - set(self.inputs)) | (outputs - set(self.outputs))):
            raise _not_ours(self.path, f"it has no {lacking[0]}")


def give_back_memory() -> None:
    """Return freed memory to the system: unpacking takes several times what weights do, and glibc keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # musl has none
        trim(0)


def check_release(needed: str) -> None:
    """Check that the installed onnxruntime is not older than a graph needs.

    Raises:
        UserError: it is.
    """
    if _release(onnxruntime.__version__) < _release(needed):
        raise UserError(
            f"onnxruntime {onnxruntime.__version__}",
            f"{needed} or newer: older releases cannot run this model, or run it many times slower",
            f"pip install 'onnxruntime>={needed}'",
        )


def value_of(array: Array) -> Any:
    """An OrtValue on the memory of an array."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _options(num_threads: int | None, spinning: bool) -> Any:
    most = max(MOST_THREADS, usable_cores())
    if num_threads is not None and not 1 <= num_threads <= most:
        remedy = "ask for more, or leave it out" if num_threads < 1 else "ask for fewer, or leave it out"
        raise UserError(f"{num_threads} threads", f"at least 1 and at most {most}", remedy)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or usable_cores()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    # Products of 8-bit integers saturate in 16 bits on CPUs without VNNI; slower ones do not.
    options.add_session_config_entry("session.x64quantprecision", "0" if has_vnni() else "1")
    return options


@functools.cache
def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU is known to add products of 8-bit integers in 32 bits; only Linux on x86 says so."""
    try:
        flags = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return bool({"avx512_vnni", "avx_vnni"} & set(flags.split()))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _refused(what: str, error: Exception, allowed: str, change: str) -> UserError:
    return UserError(f"{what} by onnxruntime {onnxruntime.__version__}: {sentence_of(error)}", allowed, change)


def _not_ours(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}", "a graph that this version has exported", "export the model again")
