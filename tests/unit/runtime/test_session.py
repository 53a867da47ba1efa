"""The runtime needs little, refuses what it cannot open by name, and runs graphs as the contract says."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from handmade import INFO, Said, with_digests
from onnx import helper
from repository import ROOT

from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime import manifest_file
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import DECODER, ENCODER, GOLDEN, MANIFEST, WEIGHTS
from pipeline.runtime.processors import Rules
from pipeline.runtime.search import search
from pipeline.runtime.session import Graph, check_release, has_vnni, usable_cores

BLOCKED = ("torch", "transformers", "omegaconf", "datasets", "mlflow", "ray", "deepspeed", "onnx", "safetensors")
BLOCKED += ("sklearn", "pandas", "yaml", "matplotlib", "scipy", "psutil")
# What else of the house it may use; these need nothing but Python.
SHARED = ("pipeline.data", "pipeline.data.limits", "pipeline.console", "pipeline.console.log")
SHARED += ("pipeline.storage", "pipeline.storage.atomic", "pipeline.storage.digests")
SOURCES = [[0, 5, 9, 2], [0, 30, 2], [0, 33, 44, 55, 66, 2]]


def test_nothing_but_the_runtime_is_imported(make_exported):
    """Every module of it, and an answer, where torch, transformers and all the others cannot be imported."""
    program = f"""
import importlib, importlib.abc, pathlib, sys
class Door(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {BLOCKED}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Door())
folder = pathlib.Path("pipeline/runtime")
for path in sorted(folder.glob("*.py")):
    if path.name != "__main__.py":
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
from pipeline.runtime.answer import OnnxAnswerer
print(len(OnnxAnswerer(pathlib.Path({str(make_exported())!r}), num_threads=1).answers(["a text"])))
ours = [name for name in sys.modules if name.startswith("pipeline.") and name not in {SHARED}]
print([name for name in ours if not name.startswith(("pipeline.config", "pipeline.runtime"))])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["1", "[]"], done.stderr


@pytest.mark.parametrize("num_beams", [1, 2, 4])
def test_graphs_say_what_their_arithmetic_says(make_answerer, num_beams):
    """Histories follow their beams, every row keeps its source, rows go on together."""
    answerer, decoding = (
        make_answerer(likes_to_end=4.0),
        DecodingConfig(num_beams=num_beams, max_length=14, early_stopping=False),
    )
    model = Said(answerer.tokenizer._tokenizer.get_vocab_size(), likes_to_end=4.0)
    expected = search(model, model.read(SOURCES), 3, Rules(decoding=decoding, tokens=INFO.tokens))
    assert answerer.generate_ids(SOURCES, decoding) == expected
    assert len({len(row) for row in expected}) > 1


def test_histories_are_not_copied_between_steps(make_answerer):
    """What one step gives is what the next one takes, and beams that keep their places move nothing."""
    model = make_answerer().model
    state = model.read(SOURCES)
    _, after = model.step(state, np.array([2, 2, 2]))
    assert after.source is state.source
    assert model.reorder(after, np.arange(3)) is after
    moved = model.reorder(after, np.array([2, 0, 0]))
    assert moved.source is after.source


def test_an_onnxruntime_that_is_too_old_is_refused(make_exported, monkeypatch):
    """With the command that mends it; a newer or equal one is taken, also a nightly build."""
    folder = make_exported()
    monkeypatch.setattr(onnxruntime, "__version__", "1.27.3")
    with pytest.raises(UserError, match=r"onnxruntime 1.27.3. Allowed: 1.28.0 or newer.*pip install"):
        OnnxAnswerer(folder)
    for version in ("1.28.0", "1.28.1", "1.100", "2.0.0", "1.28.0.dev20261101"):
        monkeypatch.setattr(onnxruntime, "__version__", version)
        check_release("1.28.0")


def broken(folder, name, content):
    (folder / name).write_bytes(content)
    with_digests(folder)
    return folder


@pytest.mark.parametrize("name", [ENCODER, DECODER])
def test_a_graph_that_cannot_be_opened_is_refused_by_name(make_exported, name, capfd):
    """Damaged before its checksum was taken, cut short, of a newer operator set, with an unknown operator."""
    folder = make_exported()
    whole = (folder / name).read_bytes()
    newer, unknown = (
        onnx.load(folder / name, load_external_data=False),
        onnx.load(folder / name, load_external_data=False),
    )
    newer.opset_import[0].version = 9999
    unknown.graph.node[0].op_type = "Divine"
    for content in (b"", b"no graph", whole[: len(whole) // 2], newer.SerializeToString(), unknown.SerializeToString()):
        with pytest.raises(UserError, match=rf"{name}.* cannot be opened by onnxruntime|{name}: it has no"):
            OnnxAnswerer(broken(folder, name, content))
    assert capfd.readouterr().out == ""  # it belongs to the answers


FOREIGN = {
    "asks for mood": lambda graph: graph.input.append(helper.make_tensor_value_info("mood", 1, [1])),
    "has the shape .*before": lambda graph: setattr(_history(graph)[1], "dim_param", "before"),
    "has the shape .*3": lambda graph: _history(graph)[0].CopyFrom(onnx.TensorShapeProto.Dimension(dim_value=3)),
    "is a tensor": lambda graph: setattr(graph.input[3].type.tensor_type, "elem_type", onnx.TensorProto.STRING),
}


def _history(graph):
    return graph.input[3].type.tensor_type.shape.dim


@pytest.mark.parametrize("message", FOREIGN)
def test_a_graph_of_another_contract_is_refused_by_name(make_exported, message):
    """It asks for what nobody gives it, or its history grows elsewhere or is of another kind."""
    folder = make_exported()
    model = onnx.load(folder / DECODER, load_external_data=False)
    FOREIGN[message](model.graph)
    with pytest.raises(UserError, match=f"{DECODER}.*({message}|cannot be opened)"):
        OnnxAnswerer(broken(folder, DECODER, model.SerializeToString()))


@pytest.mark.parametrize("name", [ENCODER, DECODER, WEIGHTS, GOLDEN, "tokenizer.json"])
def test_a_changed_or_missing_file_is_refused_by_name(make_exported, name):
    """One flipped bit is enough."""
    folder = make_exported()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"{name} has changed"):
        OnnxAnswerer(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        OnnxAnswerer(folder)


def test_a_file_that_may_not_be_read_is_refused_by_name(make_exported, monkeypatch):
    """As it is where another user has exported the model."""
    folder = make_exported()

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(manifest_file, "sha256_of", refused)
    with pytest.raises(UserError, match=r"onnx cannot be read: Permission denied"):
        OnnxAnswerer(folder)


MANIFESTS = ["{", "[]", "{}", "\x00", '{"format": "dq-onnx/99"}', '{"format": "dq-packed/3"}']
MANIFESTS += ["[" * 100_000, f'{{"format": {"1" * 5000}}}']


@pytest.mark.parametrize("content", MANIFESTS, ids=lambda content: repr(content[:26]))
def test_a_manifest_that_is_not_ours_is_refused_by_name(make_exported, content):
    """Broken JSON, what Python does not read of JSON, another format, a newer one."""
    folder = make_exported()
    (folder / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=MANIFEST):
        OnnxAnswerer(folder)


def test_settings_of_sessions(make_exported):
    """No spinning unless asked for, products that cannot saturate, as many threads as the process may use."""
    precision = "0" if has_vnni() else "1"
    for spinning in (False, True):
        options = Graph(
            make_exported(f"spinning {spinning}") / ENCODER, spinning=spinning
        )._session.get_session_options()
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spinning))
        assert options.get_session_config_entry("session.x64quantprecision") == precision
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (usable_cores(), 1)


@pytest.mark.parametrize("num_threads", [-1, 0, 1_000_000, 10**30])
def test_numbers_of_threads_have_bounds(make_exported, num_threads):
    """Where the system has no more threads to give onnxruntime ends the process."""
    with pytest.raises(UserError, match=rf"{num_threads} threads. Allowed: at least 1 and at most"):
        OnnxAnswerer(make_exported(), num_threads=num_threads)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni\n", True),
        ("flags\t\t: fpu avx2 avx_vnni\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("Features\t: asimd asimddp\n", False),
    ],
)
def test_exact_sums_of_bytes_are_trusted_only_where_the_cpu_says_so(tmp_path, text, known):
    """A CPU that says nothing gets products that cannot saturate."""
    (tmp_path / "cpuinfo").write_text(text)
    assert has_vnni(tmp_path / "cpuinfo") is known
    assert not has_vnni(tmp_path / "nothing")
