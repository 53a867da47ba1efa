"""A task small enough to run whole jobs on: copy the first words of a made-up sentence."""

import contextlib
import io
import sys

import pytest

from pipeline.config.job import job_of
from pipeline.stages.command import main

WORDS = ["red", "green", "blue", "round", "small", "big", "stone", "river", "hill", "cloud", "tree", "bird", "fish"]
LENGTHS = ["task.max_source_tokens=24", "task.max_target_tokens=12", "task.decoding.max_length=12", "model=tiny"]
SIZES = [
    *("model.vocab_size=400", "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2}"),
    *("teacher.epochs=1", "teacher.batch_tokens=512", "teacher.micro_batch_tokens=512"),
    *("student.epochs=1", "student.max_steps=4", "student.batch_tokens=512", "student.log_every_steps=1"),
    "evaluation.latency_examples=1",
]


def called(name, run, *words):
    """(exit code, stdout, stderr) of a job in this process, for fixtures that outlive a test."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patched.setattr(sys, "argv", [name, *words])
        code = main(job_of(name), "a job", run)
    return code, out.getvalue(), err.getvalue()


def killed_at_call(function, number):
    """The function, until it is called for the n-th time."""
    calls = []

    def call(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise RuntimeError("killed")
        return function(*arguments, **options)

    return call
