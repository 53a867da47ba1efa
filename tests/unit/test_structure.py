"""The house keeps its shape: imports point downwards, one door per big dependency, nothing starts on import."""

import ast
import graphlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
from two_processes import LONGEST, WholeFiles

from pipeline.config.job import job_of
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.stages.command import with_keys

# Lowest first; a package may import from itself and from those before it.
ORDER = ["config", "console", "storage", "quantization", "pruning", "data", "search", "models", "training"]
ORDER += [
    "evaluation",
    "distillation",
    "augmentation",
    "retraining",
    "runtime",
    "export",
    "report",
    "tracking",
    "serving",
    "benchmarking",
]
ORDER += ["cluster", "stages"]
DOORS = {
    "omegaconf": {"config"},
    "mlflow": {"tracking", "serving"},
    "ray": {"cluster"},
    "deepspeed": {"training"},
    "datasets": {"data", "evaluation", "stages"},
    "pyarrow": {"data"},
    "huggingface_hub": {"data"},
    "transformers": {"models", "data", "evaluation", "export", "benchmarking"},
    "onnx": {"export"},
    "onnxruntime": {"runtime", "export"},
    "openvino": {"benchmarking"},
    "ctranslate2": {"benchmarking"},
    "tokenizers": {"data", "runtime", "export"},
    "rapidfuzz": {"augmentation"},
}
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))


def imported(path):
    """Names of the modules that a module imports; what it imports for its annotations alone costs nothing."""
    module = ast.parse(path.read_text())
    types_alone = [
        node for node in module.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    module.body = [node for node in module.body if node not in types_alone]
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards_and_use_the_doors(path):
    """A module imports only from lower packages, and a big dependency only where its door is."""
    package = path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "pipeline" and rest:
            assert ORDER.index(rest[0]) <= ORDER.index(package), f"{package} imports {name}"
        if top in DOORS:
            assert package in DOORS[top], f"{name} in {package}; its door is {DOORS[top]}"


def test_one_place_reads_what_others_have_written_with_transformers():
    """It forbids code that lies beside a model; a call elsewhere would ask whether to run it."""
    paths = [path for folder in ("pipeline", "jobs", "infra") for path in (ROOT / folder).rglob("*.py")]
    calling = [path for path in paths if re.search(r"\.from_pretrained\b|trust_remote_code", path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in calling] == ["pipeline/data/pretrained.py"]
    nodes = [node for node in ast.walk(ast.parse(calling[0].read_text())) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if ast.unparse(node.func).endswith(".from_pretrained")]
    open_ones = [ast.unparse(node.func) for node in calls if "**NO_CODE" not in ast.unparse(node)]
    assert len(calls) == 4 and open_ones == ["GenerationConfig.from_pretrained"]  # it has no classes of others


def test_the_search_knows_numbers_alone():
    """Costs and errors are handed in: neither a model nor a cluster, no configuration but its errors."""
    names = {name for path in (ROOT / "pipeline" / "search").glob("*.py") for name in imported(path)}
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    known = {"numpy", "numpy.typing", "scipy.optimize", "pipeline.config.errors"}
    assert {name for name in others if not name.startswith("pipeline.search.")} == known


def test_augmentation_knows_neither_files_nor_runs_nor_clusters():
    """Learners, labellers, models and translations are handed in."""
    names = {name for path in (ROOT / "pipeline" / "augmentation").rglob("*.py") for name in imported(path)}
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names | {"pipeline"}}
    assert {name.split(".")[0] for name in others} == {"numpy", "torch", "rapidfuzz"}
    own = {name for name in names if name.startswith("pipeline.") and not name.startswith("pipeline.augmentation.")}
    assert own == {"pipeline.config.errors", "pipeline.evaluation.scripts"} and "pathlib" not in names


def test_retraining_knows_neither_files_nor_runs_nor_clusters():
    """Examples, likelihoods, scores and settings are handed in."""
    names = {name for path in (ROOT / "pipeline" / "retraining").rglob("*.py") for name in imported(path)}
    others = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"pipeline"}
    assert others <= {"numpy", "scipy", "regex"} and "pathlib" not in names
    own = {name for name in names if name.startswith("pipeline.") and not name.startswith("pipeline.retraining")}
    assert {name for name in own if not name.startswith("pipeline.config.")} <= {"pipeline.evaluation.scripts"}


def test_jobs_use_what_all_share_and_not_each_other_in_a_circle():
    """Inside stages the root knows no job's folder, and the folders can be put into an order of their own."""
    root, uses = ROOT / "pipeline" / "stages", {}
    for path in (path for path in MODULES if root in path.parents):
        folder = path.relative_to(root).parts[0].removesuffix(".py")
        used = {name.split(".")[2] for name in imported(path) if name.startswith("pipeline.stages.")}
        uses.setdefault(folder if (root / folder).is_dir() else "", set()).update(
            name for name in used if (root / name).is_dir() and name != folder
        )
    assert not uses.pop("")
    assert {"teacher", "sweep", "benchmark"} <= set(graphlib.TopologicalSorter(uses).static_order())


def test_every_package_has_its_place():
    """A new package must be put into the order."""
    assert {path.name for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").is_file()} == set(ORDER)


def renames(path):
    """Lines on which a module gives a file another name or waits for the disk; `replace` of a text has two words."""
    for node in ast.walk(ast.parse(path.read_text())):
        called = node.func if isinstance(node, ast.Call) else None
        name = getattr(called, "attr", getattr(called, "id", ""))
        is_text = name == "replace" and (len(node.args) != 1 or node.keywords)
        if name in ("replace", "rename", "renames", "move", "fsync", "fdatasync", "sync_file_range") and not is_text:
            is_own = isinstance(called, ast.Name) and name == "move"  # `storage.atomic.move`
            if not (is_own or ast.unparse(called) == "dataclasses.replace"):
                yield node.lineno


def test_one_place_renames_and_waits_for_the_disk():
    """`storage/atomic.py`: elsewhere a file would have its name before the disk has its content."""
    found = {str(path.relative_to(ROOT)) for path in MODULES if list(renames(path))}
    assert found == {"pipeline/storage/atomic.py"}


def test_importing_everything_starts_nothing():
    """Neither CUDA nor Ray; mlflow and deepspeed are not imported, and logging is not configured."""
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in MODULES]
    program = "import importlib, sys\n" + f"for name in {names}: importlib.import_module(name)\n"
    program += "import logging, torch\nassert not torch.cuda.is_initialized()\n"
    program += "assert logging.root.handlers == [] and logging.root.level == logging.WARNING\n"
    program += "print([name for name in ('ray', 'mlflow', 'deepspeed') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def returns_of(function):
    """Lines on which a function itself returns, not one inside it."""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    pending = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return):
            yield node.lineno
        if not isinstance(node, inner):
            pending += ast.iter_child_nodes(node)


def test_no_test_ends_before_its_assertions():
    """A case that does not apply is left out of the parameters or skipped with a reason: a `return` passes it."""
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for line in returns_of(node)
    }
    assert found == set()
    example = ast.parse("def test_one():\n    def inner():\n        return 1\n    if inner():\n        return\n")
    assert list(returns_of(example.body[0])) == [5]


def test_unit_tests_lie_where_the_modules_lie():
    """`pipeline/data/noise.py` is tested by tests/unit/data/test_noise.py, or by test_noise_<something> beside it."""
    tests = ROOT / "tests" / "unit"
    found = [path.relative_to(tests) for path in tests.glob("*/**/test_*.py")]
    found = [path for path in found if path.parts[0] != "infra"]  # manifests and their scripts are no modules
    assert len(found) > 50
    for path in found:
        modules = {module.stem for module in (ROOT / "pipeline" / path.parent).glob("*.py")}
        name = path.stem.removeprefix("test_")
        assert any(name == module or name.startswith(f"{module}_") for module in modules), path


def test_the_files_that_start_first_are_there():
    """Else one that was renamed would run last, alone."""
    assert all((ROOT / "tests" / name).is_file() for name in LONGEST) and len(set(LONGEST)) == len(LONGEST)


def test_what_starts_ray_is_marked_and_runs_in_one_process():
    """Two clusters at once would take each other's room."""
    files = {path: path.read_text() for path in (ROOT / "tests" / "integration").glob("test_*.py")}
    starting = [path for path, text in files.items() if "ray.init(" in text or "infra/laptop.py" in text]
    assert len(starting) == 3 and all("mark.ray" in files[path] for path in starting)
    units = {path: WholeFiles._split_scope(None, f"{path.relative_to(ROOT)}::test[a@b]") for path in files}
    assert len({units[path] for path in starting}) == 1 and len(set(units.values())) > 5


def paths_of(tree):
    """The paths of the files in a tree of indented names; a line may name several, and go on far to the right."""
    folders = []
    for line in tree.splitlines():
        indent, words = len(line) - len(line.lstrip()), line.split()
        if words and indent < 20:
            folders = folders[: indent // 2] + ([words[0]] if words[0].endswith("/") else [])
        for word in words:
            if word.endswith((".py", ".yaml")):
                yield "".join(folders) + word


def test_the_tree_in_the_readme_is_the_tree():
    """Every file of the product stands in the README's tree in its own folder, and every file in the tree exists."""
    readme = (ROOT / "README.md").read_text()
    named = list(paths_of(readme.split("```text")[1].split("```")[0]))
    globs = ["jobs/*.py", "pipeline/**/*.py", "infra/**/*.py", "conf/**/*.yaml"]
    files = [path.relative_to(ROOT) for glob in globs for path in ROOT.glob(glob) if path.name != "__init__.py"]
    assert len(files) > 250
    assert sorted(named) == sorted(map(str, files))


def commands_of(page):
    """The indented command lines of a page, continuation lines joined."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("    ") and not line.startswith("     ")]


@pytest.mark.parametrize("page", ["README.md", "conf/README.md", "infra/README.md"])
def test_the_commands_of_the_documentation_are_accepted(page):
    """Every make target exists and every job's arguments give a configuration."""
    makefile = (ROOT / "Makefile").read_text()
    found = 0
    for command in commands_of(page):
        words = shlex.split(command, comments=True)
        if words[0] == "make":
            found += 1
            assert f"\n{words[1]}:" in makefile
            arguments = shlex.split(words[2].partition("=")[2]) if len(words) > 2 else []
            load_config(SweepJob, arguments)
        for index, word in enumerate(words):
            if word.startswith("jobs/"):
                found += 1
                assert (ROOT / word).is_file()
                arguments = [word for word in words[index + 1 :] if not word.startswith("--")]
                job = job_of(Path(word).stem)
                load_config(job, with_keys(job, arguments))
    assert found
