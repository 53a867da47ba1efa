"""Models, tokenizers and configurations are called by their types, so that a reader knows what may be asked of them."""

import ast
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[2] / "pipeline"
FOLDERS = ["data", "models", "evaluation", "distillation", "export", "pruning", "quantization", "training", "stages"]
NAMES = {"model", "student", "teacher", "tokenizer", "config", "model_config", "shape"}


def untyped(source):
    """Parameters of these names that may be anything, as function.parameter."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            for parameter in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                kinds = ast.unparse(parameter.annotation).split(" | ") if parameter.annotation else []
                if parameter.arg in NAMES and "Any" in kinds:
                    yield f"{node.name}.{parameter.arg}"


def test_a_parameter_that_may_be_anything_is_found():
    """Alone, or one of several."""
    source = "def f(model: Any, tokenizer: Any | None, *, config: str): ...\nclass A:\n    def g(self, shape: Any): ..."
    assert list(untyped(source)) == ["f.model", "f.tokenizer", "g.shape"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_models_tokenizers_and_configurations_have_types(folder):
    """In every module of the folder."""
    modules = list((PIPELINE / folder).rglob("*.py"))
    assert len(modules) > 1
    assert [f"{path.name}: {found}" for path in modules for found in untyped(path.read_text())] == []
