"""A package stores each matrix once, has the size of its formula, and is refused by name where it is broken."""

import json
import struct

import pytest
from handmade import say, with_digests
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.config.errors import UserError
from pipeline.export.package import MANIFEST, WEIGHTS, load_package
from pipeline.models.student import build_student
from pipeline.quantization.packed_layers import packed_weights
from pipeline.quantization.packing import packed_size


@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8", "3-4-8"])
def test_a_tied_matrix_is_stored_once_and_shared_by_all_its_users(make_package, scheme):
    """The embedding's codes appear once in the file; embeddings and LM head are one object after loading."""
    folder, _ = make_package(scheme)
    size = packed_size(203 * 32, int(scheme[2]))
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = [name for name in file.keys() if name.endswith(".codes")]  # noqa: SIM118 (not a mapping)
        assert [name for name in names if file.get_tensor(name).numel() == size] == ["model.shared.codes"]
        assert not any("lm_head" in name or "embed_tokens" in name for name in file.keys())  # noqa: SIM118
    weights = packed_weights(load_package(folder)[0])
    users = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
    assert len({id(weights[name]) for name in users}) == 1


@pytest.mark.parametrize("scheme", ["8-8-8", "3-4-8", "2-2-8", "2-8-4", "8-2-32", "32-8-8", "32-32-32"])
def test_the_file_has_the_size_of_the_formula(make_bart, make_package, scheme):
    """Packed codes, four bytes a scale, four bytes a remaining number, and the header; nothing else."""
    folder, _ = make_package(scheme)
    weight_bits, embedding_bits, _ = (int(bits) for bits in scheme.split("-"))
    positions = 8 if scheme != "32-32-32" else 32
    expected = 0
    for name, tensor in build_student(make_bart(3, 3), [0, 2], [2], 0.0).named_parameters():
        if tensor.ndim == 1:
            bits = 32
        elif "shared" in name:
            bits = embedding_bits
        else:
            bits = positions if "embed_positions" in name else weight_bits
        expected += 4 * tensor.numel() if bits == 32 else packed_size(tensor.numel(), bits) + 4 * tensor.size(0)
    content = (folder / WEIGHTS).read_bytes()
    (header_size,) = struct.unpack("<Q", content[:8])
    assert len(content) - 8 - header_size == expected


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_changed_or_missing_file_is_refused_by_name(make_package, name):
    """One flipped bit is enough."""
    folder, _ = make_package()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"{name} has changed"):
        load_package(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        load_package(folder)


@pytest.mark.parametrize(
    "manifest", ["{", "[]", "{}", "\x00", '{"format": "dq-packed/99"}', '{"format": "dq-packed/1"}']
)
def test_a_manifest_that_is_not_ours_is_refused_by_name(make_package, manifest):
    """Broken JSON, another format, a newer format, a manifest cut short."""
    folder, _ = make_package()
    (folder / MANIFEST).write_text(manifest)
    with pytest.raises(UserError, match="packed"):
        load_package(folder)


@pytest.mark.parametrize(
    "damage",
    [
        *({name: []} for name in ("sha256", "packed", "scheme", "decoding", "heads")),
        *({"scheme": {}}, {"scheme_name": 7}, {"scheme_name": "9-9-9"}, {"decoding": {"beams": 1}}),
    ],
)
def test_a_manifest_with_a_damaged_part_is_refused(make_package, damage):
    """Also where its own checksum was made afterwards."""
    folder, _ = make_package()
    path = folder / MANIFEST
    say(folder, **damage)
    with pytest.raises(UserError, match=r"manifest\.json: |manifest\.json lacks"):
        load_package(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"written_by": "somebody else"}))
    with pytest.raises(UserError, match=r"manifest\.json has changed"):
        load_package(folder)


def test_a_folder_that_is_not_a_package_is_refused_by_name(make_bart, tmp_path):
    """A missing folder, a plain transformers folder, and a file."""
    make_bart(1, 1).save_pretrained(tmp_path / "plain")
    (tmp_path / "file").write_text("")
    for name in ("missing", "plain", "file"):
        with pytest.raises(UserError, match=f"{name} is not a packed model"):
            load_package(tmp_path / name)


@pytest.mark.parametrize("name", ["decoder.layers.0.fc1.bias", "decoder.layers.0.fc1.codes", "shared.scale"])
def test_a_package_lacking_a_tensor_is_refused_by_name(make_package, name):
    """Even where its manifest is consistent with it."""
    folder, _ = make_package()
    tensors = load_file(folder / WEIGHTS)
    del tensors[f"model.{name}"]
    save_file(tensors, folder / WEIGHTS)
    with_digests(folder)
    with pytest.raises(UserError, match=name):
        load_package(folder)
