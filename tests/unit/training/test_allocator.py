"""Memory that tensors leave stays with the process: its pages are not faulted in again."""

import os
import platform
import subprocess
import sys

import pytest
from repository import ROOT

from pipeline.training.allocator import PREFIX, VARIABLE, keeping_environment

BLOCK = 64 * 2**20  # bytes
PAGES = BLOCK // os.sysconf("SC_PAGESIZE")
# Page faults of ten blocks, one after the other, once the heap has found its size.
COUNT = f"""
import resource, sys, threading
from pipeline.stages.command import main
from pipeline.training.allocator import keep_memory
if by_call: assert keep_memory()
def use():
    seen = []
    for _ in range(31):
        b"x" * {BLOCK}
        seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    print(seen[-1] - seen[-11])
    return {{"status": "finished"}}
if in_job:
    sys.argv = ["benchmark"]
    main(job_of("benchmark"), "a job", lambda _: use())
elif in_thread:
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
else:
    use()
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


def faults(environment=None, by_call=False, in_thread=False, in_job=False):
    program = f"by_call, in_thread, in_job = {by_call}, {in_thread}, {in_job}\n{COUNT}"
    plain = {name: value for name, value in os.environ.items() if name != VARIABLE} | (environment or {})
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0])


@glibc
def test_a_block_takes_the_pages_that_another_left(monkeypatch):
    """By a call in the main thread, which every job makes, and by the environment in every thread."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert faults(by_call=True) < PAGES
    assert faults(in_job=True) < PAGES
    assert faults(keeping_environment()) < PAGES
    assert faults(keeping_environment(), in_thread=True) < PAGES


@glibc
@pytest.mark.parametrize("in_thread", [False, True])
def test_without_it_every_block_faults_its_pages_in(in_thread):
    """Else there would be nothing to keep."""
    assert faults(in_thread=in_thread) >= 9 * PAGES


def test_what_the_environment_sets_stands(monkeypatch):
    """Settings of malloc are left alone; others are kept beside ours."""
    monkeypatch.setenv(VARIABLE, f"{PREFIX}mmap_max=7")
    assert keeping_environment() == {VARIABLE: f"{PREFIX}mmap_max=7"}
    monkeypatch.setenv(VARIABLE, "glibc.pthread.rseq=0")
    assert keeping_environment()[VARIABLE].split(":")[-1] == "glibc.pthread.rseq=0"
