"""The moments in a process at which it asks a scenario what shall happen."""

import errno
import functools
import importlib.machinery
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import Client

import chaos_power

DIES = "die"


def arm(*, moments, socket, root, clock_seconds):
    """From here on this process waits at every moment.

    Args:
        moments: of functions, as `process.Moment` says.
        socket: of the scenario.
        root: folder that a power cut concerns.
        clock_seconds: what the wall clock of this process is ahead.
    """
    if clock_seconds:
        real = time.time
        time.time = lambda: real() + clock_seconds
    if root is not None:
        chaos_power.record()
    finder = _Finder([_Wait(number, socket=socket, root=root, **one) for number, one in enumerate(moments)])
    sys.meta_path.insert(0, finder)


class _Wait:
    """Counts the calls of a function; at one of them it connects to the scenario and does as it is told."""

    def __init__(self, number, *, module, function, call, after, socket, root):
        self.number, self.module, self.function, self.call, self.after = number, module, function, call, after
        self.socket, self.root, self.num_calls = socket, root, 0

    def wrap(self, module):
        """Put it around the function of a module that was just imported."""
        *owners, name = self.function.split(".")
        owner = functools.reduce(getattr, owners, module)
        real = getattr(owner, name)

        @functools.wraps(real)
        def waiting(*arguments, **options):
            self.num_calls += 1
            is_it = self.num_calls == self.call
            if is_it and not self.after:
                self._ask(arguments)
            answer = real(*arguments, **options)
            if is_it and self.after:
                self._ask(arguments)
            return answer

        setattr(owner, name, waiting)

    def _ask(self, arguments):
        with Client(self.socket) as scenario:
            scenario.send((self.number, os.getpid()))
            told, *details = scenario.recv()
        ACTIONS[told](self, arguments, *details)


def die(wait, arguments):
    """As `kill -9` does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def lose_power(wait, arguments, seed):
    """What the disk was not told to keep may be gone; the process is."""
    chaos_power.cut(wait.root, seed)
    die(wait, arguments)


def poison(wait, arguments):
    """Gradients of the engine whose method it is are no numbers."""
    arguments[0].parameters[0].grad.fill_(float("nan"))


def take_memory(wait, arguments):
    """The process asks for more than any machine has, where it would ask for a little."""
    import torch

    torch.empty(1 << 50)


def limit_files(wait, arguments, num_bytes):
    """No file may become larger, whoever writes it, in Python or not."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, resource.RLIM_INFINITY))


def refuse(wait, arguments):
    """The call fails as on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTIONS = {
    "go on": lambda wait, arguments: None,
    DIES: die,
    "lose power": lose_power,
    "poison": poison,
    "take memory": take_memory,
    "limit files": limit_files,
    "refuse": refuse,
}


class _Finder:
    """Wraps functions as soon as their modules are imported."""

    def __init__(self, waits):
        self.waits = waits

    def find_spec(self, name, path=None, target=None):
        """Import the module as everybody does, and wrap afterwards."""
        mine = [one for one in self.waits if one.module == name]
        if not mine:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        real = spec.loader.exec_module

        def executed(module):
            real(module)
            for one in mine:
                one.wrap(module)

        spec.loader.exec_module = executed
        return spec
