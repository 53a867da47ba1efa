"""Scripts of infra/ as modules: they are run by path, and belong to no package."""

import importlib.util

from repository import ROOT


def script(path):
    """The module that a path below infra/ names."""
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), ROOT / "infra" / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
