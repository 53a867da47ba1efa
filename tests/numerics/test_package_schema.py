"""Whatever a package says, checksums made afterwards: it is refused in one paragraph, or says what it said."""

import json
import math
import shutil

import pytest
import torch
from fixtures.expect import HERE
from handmade import say, with_digests
from hypothesis import HealthCheck, example, given, settings
from mutations import GONE, mutated, mutations, write_manifest
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.export.answer import Answerer
from pipeline.export.package import MANIFEST, WEIGHTS, PackageInfo, load_package, write_package
from pipeline.export.package_schema import packed_entries
from pipeline.models.student import meta_model
from pipeline.quantization.scheme import scheme_of

STUDENT, GROUPS, CLASSIFIER = (
    HERE / "dq-packed-5" / name for name in ("1_2_8_2_1_heads_0_5", "2_4_4_2_1_groups", "8_8_8_1")
)
TEXTS = ["red green blue", "fish"]
# What a person may choose, so that another choice is another student; all else follows from the rest.
CHOICES = ("decoding", "source_prefix", "max_source_tokens")
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SAID = json.loads((STUDENT / MANIFEST).read_text())
CONFIG = json.loads((STUDENT / "config.json").read_text())


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(STUDENT, tmp_path / "packed")


@pytest.fixture(scope="module")
def before():
    return Answerer(STUDENT).answers(TEXTS)


def refused_or_answers(folder):
    """What it says, or nothing where it is refused in a paragraph."""
    try:
        return Answerer(folder).answers(TEXTS)
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        return None


@FEW
@given(mutations(SAID))
@example((("packed", "model.shared", "stored_as"), "model.encoder.embed_positions"))
@example((("packed", "model.shared", "zero"), 0.0))
@example((("packed", "model.shared", "bits"), 4))
@example((("packed", "model.shared", "shape"), [32, 300]))
@example((("scheme_name",), "8-8-8"))
@example((("scheme", "weight_bits"), 8))
@example((("decoding", "num_beams"), GONE))
@example((("decoding", "max_length"), 10**9))
@example((("heads", "model.encoder.layers.0.self_attn", 0), 5))
def test_a_manifest_that_says_anything_else_is_refused_or_makes_no_difference(folder, before, mutation):
    """Choices aside: those say how it answers, and are bound by the checksum alone."""
    place, _ = mutation
    write_manifest(folder, mutated(SAID, *mutation))
    said = refused_or_answers(folder)
    assert said in (None, before) or place[0] in CHOICES


@FEW
@given(mutations(CONFIG))
@example((("encoder_layers",), 10**9))
@example((("max_position_embeddings",), 10**9))
@example((("d_model",), 2**31 - 1))
@example((("is_decoder",), True))
@example((("init_std",), None))
def test_a_configuration_of_anything_else_is_refused_or_answers(folder, mutation):
    """At once, whatever sizes it names."""
    (folder / "config.json").write_text(json.dumps(mutated(CONFIG, *mutation)))
    with_digests(folder)
    refused_or_answers(folder)


SIZES = ("d_model", "vocab_size", "encoder_layers", "decoder_ffn_dim", "max_position_embeddings", "model_type")
OTHERS = [(name, value) for name in SIZES for value in (GONE, 33, -1, 10**30, "bert", [])]
OTHERS += [("d_model", math.nan), ("architectures", ["BertModel"]), ("is_encoder_decoder", False), ("is_decoder", True)]
OTHERS += [("pad_token_id", 300), ("eos_token_id", "x"), ("decoder_start_token_id", None)]


@pytest.mark.parametrize(("name", "value"), OTHERS)
def test_a_configuration_of_another_model_is_refused(folder, name, value):
    """Sizes are compared with the tensors of the file before any is made."""
    (folder / "config.json").write_text(json.dumps(mutated(CONFIG, (name,), value)))
    with_digests(folder)
    with pytest.raises(UserError, match=r"config\.json|packed holds|packed lacks|packed\.model"):
        load_package(folder)


@pytest.mark.parametrize("labels", [{"0": "a", "1": "a"}, {"1": "a", "2": "b"}, {"0": "a", "1": 7}])
def test_labels_that_are_none_are_refused_where_they_are_answers(tmp_path, labels):
    """What generates has no use for them: whatever its starting point said is left there."""
    for name, model in (("classifies", CLASSIFIER), ("generates", STUDENT)):
        shutil.copytree(model, folder := tmp_path / name)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "id2label": labels, "label2id": {"x": 0}}))
        with_digests(folder)
    load_package(tmp_path / "generates")
    with pytest.raises(UserError, match="labels"):
        load_package(tmp_path / "classifies")


def changed_tensor(folder, name, change):
    tensors = load_file(folder / WEIGHTS)
    tensors[name] = change(tensors[name])
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / WEIGHTS)
    with_digests(folder)


def with_first(value):
    def change(tensor):
        tensor.view(-1)[0] = value
        return tensor

    return change


BAD = {
    "a scale that is no number": (STUDENT, "model.shared.scale", with_first(math.nan)),
    "an infinite scale": (STUDENT, "model.shared.scale", with_first(math.inf)),
    "a negative scale": (STUDENT, "model.shared.scale", with_first(-1.0)),
    "a scale of zero": (GROUPS, "model.encoder.layers.0.fc1.scale", with_first(0.0)),
    "a zero beyond two bits": (GROUPS, "model.encoder.layers.0.fc1.zero", with_first(2)),
    "a bias that is no number": (STUDENT, "model.encoder.layers.0.fc1.bias", with_first(math.nan)),
    "codes of another length": (STUDENT, "model.shared.codes", lambda codes: codes[:-1]),
    "scales of another shape": (STUDENT, "model.shared.scale", torch.flatten),
    "scales of another type": (STUDENT, "model.shared.scale", torch.Tensor.double),
    "a norm of another length": (CLASSIFIER, "roberta.embeddings.LayerNorm.weight", lambda norm: norm[1:]),
}


@pytest.mark.parametrize("what", BAD)
def test_tensors_that_no_student_has_are_refused_by_name(tmp_path, what):
    """With checksums that agree."""
    source, name, change = BAD[what]
    folder = shutil.copytree(source, tmp_path / "packed")
    changed_tensor(folder, name, change)
    with pytest.raises(UserError, match=name):
        load_package(folder)


def test_a_tensor_that_nobody_knows_is_refused(folder):
    """It would make the file larger and change nothing that anybody sees."""
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, "model.more": torch.zeros(3)}, folder / WEIGHTS)
    with_digests(folder)
    with pytest.raises(UserError, match=r"holds model\.more"):
        load_package(folder)


@pytest.mark.parametrize("name", ["added_tokens.json", "special_tokens_map.json", "model.py", ".hidden", "more/"])
def test_a_file_that_is_not_listed_is_refused_by_name(folder, name):
    """Tokenizers read some of them when they are there."""
    if name.endswith("/"):
        (folder / name).mkdir()
    else:
        (folder / name).write_text("{}")
    with pytest.raises(UserError, match=rf"{name.rstrip('/')} is not in its manifest.*remove it"):
        load_package(folder)


@pytest.mark.parametrize("change", ["none", "null", "fewer", "outside", "absolute", "manifest", "number", "short"])
def test_checksums_that_do_not_cover_the_folder_are_refused(folder, change):
    """Whatever the manifest says of itself."""
    digests = json.loads((folder / MANIFEST).read_text())["sha256"]
    digest = digests[WEIGHTS]
    changed = {
        "none": {},
        "null": None,
        "fewer": {name: value for name, value in digests.items() if name != WEIGHTS},
        "outside": digests | {"../packed/config.json": digests["config.json"]},
        "absolute": digests | {str(folder / "config.json"): digests["config.json"]},
        "manifest": digests | {MANIFEST: digest},
        "number": digests | {WEIGHTS: 7},
        "short": digests | {WEIGHTS: digest[:8]},
    }
    say(folder, sha256=changed[change])
    with pytest.raises(UserError, match=r"manifest\.json"):
        load_package(folder)


@pytest.mark.parametrize(
    "text", ['{"format": "dq-packed/5", "format": 1}', '{"format": NaN}', '{"a": 1e999}', "[" * 9999]
)
def test_json_that_only_python_reads_is_refused(folder, text):
    """A key twice means one thing to one reader and another to the next."""
    (folder / MANIFEST).write_text(text)
    with pytest.raises(UserError, match="is not a packed model"):
        load_package(folder)


def test_one_flipped_letter_of_the_manifest_is_refused(folder):
    """Whatever it says: 0.8 is as good a penalty as 0.9."""
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"num_beams": 2', '"num_beams": 3'))
    with pytest.raises(UserError, match=r"manifest\.json has changed"):
        load_package(folder)
    (folder / MANIFEST).write_text(json.dumps(json.loads(text), sort_keys=True))
    load_package(folder)  # it is what it says that counts


def test_computed_tables_have_a_largest_size(tiny_tokenizer, tmp_path):
    """No tensor of the file says how large they are, and they are computed number by number."""
    shape = dict.fromkeys(("encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 1)
    shape |= dict.fromkeys(("d_model", "encoder_ffn_dim", "decoder_ffn_dim"), 8)
    tokens = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "max_position_embeddings": 32}
    model = MarianMTModel(MarianConfig(vocab_size=320, decoder_vocab_size=320, **shape, **tokens))
    info = PackageInfo(
        scheme=scheme_of("32-32-32", QuantizationConfig()),
        encoder_map=[0],
        decoder_map=[0],
        heads={},
        decoding=DecodingConfig(max_length=12),
        source_prefix="",
        source_language=None,
        target_language=None,
        max_source_tokens=24,
    )
    write_package(tmp_path / "packed", model, tiny_tokenizer, info)
    load_package(tmp_path / "packed")
    config = json.loads((tmp_path / "packed" / "config.json").read_text())
    (tmp_path / "packed" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 10**9}))
    with_digests(tmp_path / "packed")
    with pytest.raises(UserError, match="1,000,000,000 positions"):
        load_package(tmp_path / "packed")


@pytest.mark.parametrize("source", [STUDENT, GROUPS, CLASSIFIER], ids=lambda folder: folder.name)
def test_what_must_be_packed_is_known_without_memory(source):
    """From configuration and scheme alone: entry for entry what was written."""
    model, info = load_package(source)
    if not info.heads:
        entries = packed_entries(meta_model(model.config), info.scheme)
        written = json.loads((source / MANIFEST).read_text())["packed"]
        assert {name: vars(entry) for name, entry in entries.items()} == written


def test_languages_without_a_tokenizer_that_has_some_are_refused(folder):
    """They would change nothing, and say something else of the student."""
    say(folder, target_language="ro_RO")
    with pytest.raises(UserError, match="for a tokenizer without any"):
        Answerer(folder)
