"""An exported folder computes what its package computes, for every family, and is written whole or not at all."""

import json

import numpy as np
import onnx
import openvino
import pytest
import torch
from teachers import RECIPES, maps, random_teacher
from transformers import PreTrainedTokenizerFast

from pipeline.config.errors import UserError
from pipeline.config.sections.export import VARIANTS as ASKED_FOR
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.evaluation.generate import generate_ids
from pipeline.export.onnx.export import VARIANTS, export_package
from pipeline.export.package import WEIGHTS as PACKED_WEIGHTS
from pipeline.export.package import PackageInfo, load_package, write_package
from pipeline.models.families import families, family_named
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.pruning.heads import count_heads
from pipeline.quantization.fake_quantize import calibration
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import DECODER, ENCODER, WEIGHTS, read_manifest
from pipeline.runtime.manifest_file import bound

GENERATING = sorted(name for name in families() if family_named(name).decoder)
LEARNED = {"activation_granularity": "learned", "post_activation": "asymmetric"}


@pytest.fixture(scope="module")
def make_package(tiny_tokenizer, tmp_path_factory):
    """A package of a random 2-2 student of a family; heads says which of each attention's four it keeps."""

    def make(family, scheme, heads=None, tells_texts_apart=True, **quantization):
        family, scheme = family_named(family), scheme_of(scheme, QuantizationConfig(**quantization))
        teacher = random_teacher(family, tiny_tokenizer)
        names = [site.module for site in sites_of(build_student(teacher, *maps(family, 0, 2), 0.0)).attentions]
        kept = dict.fromkeys(names, heads) if heads else {}
        student = build_student(teacher, *maps(family, 0, 2), 0.0, kept).eval()
        prepare_student(student, scheme)
        ids = torch.arange(10, 22).view(2, 6)
        with calibration(student), torch.no_grad():
            student(input_ids=ids, **({"decoder_input_ids": ids} if family.decoder else {}))
        convert(student, sites_of(student), scheme)
        info = PackageInfo(
            scheme=scheme,
            encoder_map=[0, 2],
            decoder_map=[0, 2],
            heads=kept,
            decoding=DecodingConfig(num_beams=2, max_length=12),
            source_prefix="",
            source_language=None,
            target_language=None,
            max_source_tokens=40,
        )
        names = ["input_ids", *(["token_type_ids"] if tells_texts_apart else []), "attention_mask"]
        settings = {**tiny_tokenizer.special_tokens_map, "model_input_names": names}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer.backend_tokenizer, **settings)
        folder = tmp_path_factory.mktemp("package")
        write_package(folder, student, tokenizer, info)
        return folder

    return make


def test_every_variant_that_may_be_asked_for_is_made():
    """The settings and the exporter know the same."""
    assert tuple(VARIANTS) == ASKED_FOR


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", sorted(families()))
def test_without_rounded_activations_nothing_differs(make_package, tmp_path, family, variant):
    """Weights at 4 bits, activations in fp32: the logits of torch up to the order of summation."""
    info = export_package(make_package(family, "4-4-32"), tmp_path / "out", variant)
    assert info.parity.logits_error < 2e-6 and info.parity.same_choices == 1.0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("scheme", "recipe"), [("2-2-8", "best"), ("2-2-8", "dqbart"), ("8-4-8", "groups")])
@pytest.mark.parametrize("family", sorted(families()))
def test_with_rounded_activations_few_codes_differ(make_package, tmp_path, family, scheme, recipe, variant):
    """A different order of summation moves values across the border of two codes, no more."""
    info = export_package(make_package(family, scheme, **RECIPES[recipe]), tmp_path / "out", variant)
    assert info.parity.logits_error < 0.03 and info.parity.same_choices > 0.9


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", ["1-1-8", "1.58-1.58-8", "3-3-8", "2-2-4", "32-32-32"])
def test_every_scheme_has_a_graph(make_package, tmp_path, scheme, variant):
    """Also those whose bits no kernel knows."""
    info = export_package(make_package("bart", scheme), tmp_path / "out", variant)
    assert info.parity.same_choices > 0.8


@pytest.mark.parametrize("family", ["bart", "t5", "bert"])
@pytest.mark.parametrize("settings", [{"heads": [1, 3]}, {"scheme": "2-2-4", **LEARNED}], ids=["heads", "learned"])
def test_pruned_heads_and_learned_scales_reach_the_graph(make_package, tmp_path, family, settings):
    """Fewer heads than the configuration says; one learned scale for every place."""
    packed = make_package(family, **{"scheme": "4-4-32"} | settings)
    info = export_package(packed, tmp_path / "out", "exact")
    assert info.parity.logits_error < (1e-5 if "heads" in settings else 0.5)
    if "heads" in settings:
        model, _ = load_package(packed)
        assert {count_heads(model, site) for site in sites_of(model).attentions} == {2}


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("family", GENERATING)
def test_generated_tokens_are_those_of_torch(make_package, tmp_path, family, num_beams):
    """Greedy and with beams, in ragged batches: masks, positions and histories are right."""
    packed = make_package(family, "8-8-32")
    export_package(packed, tmp_path / "out", "fast")
    model, _ = load_package(packed)
    answerer = OnnxAnswerer(tmp_path / "out", num_threads=1)
    rng = np.random.default_rng(0)
    sources = [rng.integers(5, 200, length).tolist() for length in (17, 9, 3)]
    decoding = DecodingConfig(num_beams=num_beams, max_length=10, no_repeat_ngram_size=3, length_penalty=0.7)
    pad = answerer.info.tokens.pad
    theirs = [[token for token in row if token != pad] for row in generate_ids(model, sources, pad, decoding).tolist()]
    ours = [[token for token in row if token != pad] for row in answerer.generate_ids(sources, decoding)]
    assert ours == theirs


@pytest.mark.parametrize("apart", [True, False])
def test_pairs_have_types_only_where_the_tokenizer_knows_them(make_package, tmp_path, apart):
    """Without, all tokens are of the first type, as torch takes them."""
    export_package(make_package("bert", "4-4-32", tells_texts_apart=apart), tmp_path / "out", "exact")
    inputs = {value.name for value in onnx.load(str(tmp_path / "out" / ENCODER), load_external_data=False).graph.input}
    assert inputs == {"input_ids", "attention_mask"} | ({"token_type_ids"} if apart else set())


def test_weights_are_the_package_s_bytes(make_package, tmp_path):
    """Codes and scales as they are in the package, each once; every byte of the files has its part."""
    packed = make_package("bart", "2-2-8")
    for variant in ("exact", "fast"):
        info = export_package(packed, tmp_path / variant, variant)
        weights = (tmp_path / variant / WEIGHTS).stat().st_size
        assert weights <= (packed / PACKED_WEIGHTS).stat().st_size
        files = sum((tmp_path / variant / name).stat().st_size for name in (ENCODER, DECODER, WEIGHTS))
        assert sum(part["bytes"] for part in info.parts.values()) == files
        assert info.parts["model.shared.codes"]["bytes"] == 2 * 32 * 320 // 8 and "lm_head.codes" not in info.parts


def test_what_is_not_there_is_said(make_package, tmp_path):
    """Storage that no kernel reads directly is named."""
    info = export_package(make_package("bart", "3-1-8"), tmp_path / "out", "fast")
    said = {name: part["stored_as"] for name, part in info.parts.items()}
    assert said["model.encoder.layers.0.fc1.codes"] == "3 bits, read as 4 or 8"
    assert said["model.shared.codes"] == "1 bits, read as 2 or 8"
    other = export_package(make_package("bart", "3-1-8"), tmp_path / "openvino", "openvino")
    assert "nearest" in other.parts["model.encoder.layers.0.fc1.codes"]["stored_as"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_graphs_are_valid_onnx(make_package, tmp_path, variant):
    """The checker of the standard accepts them, and their operators are those of opset 21 and onnxruntime's own."""
    export_package(make_package("t5", "2-2-8"), tmp_path / "out", variant)
    for name in (ENCODER, DECODER):
        onnx.checker.check_model(str(tmp_path / "out" / name))
        model = onnx.load(str(tmp_path / "out" / name), load_external_data=False)
        assert {opset.domain: opset.version for opset in model.opset_import} == {"": 21, "com.microsoft": 1}


@pytest.mark.parametrize("family", ["bart", "t5", "bert"])
def test_openvino_reads_its_variant(make_package, tmp_path, family):
    """The encoder gives what onnxruntime gives, up to rounding."""
    folder = tmp_path / "out"
    info = export_package(make_package(family, "2-2-8"), folder, "openvino")
    core = openvino.Core()
    compiled = core.compile_model(str(folder / ENCODER), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ids = np.arange(20, 32).reshape(2, 6)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    answerer = OnnxAnswerer(folder, num_threads=1)
    names = {port.any_name for port in compiled.inputs}
    theirs = compiled({name: value for name, value in feeds.items() if name in names})
    from pipeline.runtime.session import value_of

    ours = answerer.model.encoder({name: value_of(value) for name, value in feeds.items()})
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value.numpy(), atol=0.05)
    assert info.variant == "openvino"


def test_a_failed_export_leaves_nothing(make_package, tmp_path):
    """Neither a folder nor a part of one."""
    packed, out = make_package("bart", "2-2-8"), tmp_path / "new" / "out"
    with pytest.raises(UserError, match="variant=quick"):
        export_package(packed, out, "quick")
    manifest = json.loads((packed / "manifest.json").read_text())
    later = bound({**manifest, "format": "dq-packed/99"})
    (packed / "manifest.json").write_text(json.dumps(later))
    with pytest.raises(UserError, match="dq-packed/99"):
        export_package(packed, out, "fast")
    (packed / "manifest.json").write_text(json.dumps(manifest))
    (packed / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json has changed"):
        export_package(packed, out, "fast")
    assert not list(tmp_path.rglob("*.onnx")) and not list(tmp_path.rglob("*.partial"))


def test_a_folder_in_use_is_left_alone(make_package, tmp_path):
    """Whatever lies in it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="in use"):
        export_package(make_package("bart", "2-2-8"), tmp_path / "out", "fast")
    assert (tmp_path / "out" / "letter.txt").read_text() == "mine"


def test_a_whole_folder_reads_itself(make_package, tmp_path):
    """The manifest on disk is what the export returned."""
    info = export_package(make_package("bart", "2-2-8"), tmp_path / "out", "fast")
    assert read_manifest(tmp_path / "out") == info
