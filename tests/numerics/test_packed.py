"""Law 6: a packed model, written to disk and read again, gives exactly the outputs of the fake-quantized one."""

import dataclasses

import pytest
import torch

from pipeline.config.errors import NonFiniteError, UserError
from pipeline.config.sections.recipe import QuantizationConfig, QuantizersConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.distillation.objective import signals_of
from pipeline.evaluation.generate import generate_ids
from pipeline.export.package import load_package, write_package
from pipeline.models.student import sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.quantization.scheme import scheme_of

SCHEMES = ("8-8-8", "4-4-8", "3-3-8", "2-2-8", "2-8-4", "8-2-32", "32-8-8", "32-32-32", "1-1-8", "1.58-1.58-2")
PUBLISHED = {"weight_granularity": "per_tensor", "activation_granularity": "per_tensor", "clip_value": 2.5}
PUBLISHED |= {"as_published": True, "lm_head": False, "probabilities": "signed", "position_bits": 32}


def with_quantizer(name: str, **others) -> dict:
    """Settings that use one quantizer wherever it can be."""
    fields = {f.name: f.metadata["allowed"] for f in dataclasses.fields(QuantizersConfig)}
    chosen = QuantizersConfig(**{field: name for field, allowed in fields.items() if name in allowed})
    return {"weights": chosen, "embeddings": chosen, **others}


VARIANTS = {
    "per_row": {},
    "published": PUBLISHED,
    "groups": {"weight_granularity": "group_32", "embedding_granularity": "group_32"},
    "mixed": {"bits": ["model.encoder.layers.0.*=8", "model.decoder.*.fc2=32", "model.shared=4"]},
    "asymmetric": with_quantizer("asymmetric", post_activation="asymmetric", clip_value=2.5),
    "lsq": with_quantizer("lsq", weight_granularity="per_tensor"),
    "seq": with_quantizer("seq", weight_granularity="group_32"),
    "anchored": with_quantizer("anchored"),
    "elastic": with_quantizer("elastic", embedding_granularity="per_tensor"),
}
# A clip has no meaning for one bit.
REFUSED = [
    (scheme, variant)
    for scheme in SCHEMES
    for variant in VARIANTS
    if scheme[:2] == "1-" and VARIANTS[variant].get("clip_value")
]
CASES = [(scheme, variant) for scheme in SCHEMES for variant in VARIANTS if (scheme, variant) not in REFUSED]
DECODINGS = (DecodingConfig(min_length=6, max_length=10), DecodingConfig(num_beams=3, min_length=4, max_length=9))


def outputs(model, batch) -> list[torch.Tensor]:
    """Logits, hidden states, attention maps, and generated ids, greedy and by beam search."""
    with torch.no_grad():
        signals = signals_of(model, batch)
    sources = [ids[mask.bool()].tolist() for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    generated = [generate_ids(model, sources, 1, decoding) for decoding in DECODINGS]
    return [signals.logits, *signals.encoder_hidden, *signals.decoder_hidden, *signals.cross_attention, *generated]


@pytest.mark.parametrize(("scheme", "variant"), CASES)
def test_a_package_on_disk_gives_the_outputs_of_the_fake_quantized_model(
    make_student, tiny_tokenizer, tiny_batch, tmp_path, scheme, variant
):
    """Exactly: logits, hidden states, attention maps and generated tokens, for every quantizer and granularity."""
    quantization = VARIANTS[variant]
    for seed in range(2 if variant == "per_row" else 1):
        student, info = make_student(scheme, seed=seed, logits_bias=seed == 1, **quantization)
        expected = outputs(student, tiny_batch)
        convert(student, sites_of(student), info.scheme)
        write_package(tmp_path / f"{seed}", student, tiny_tokenizer, info)
        loaded, loaded_info = load_package(tmp_path / f"{seed}")
        assert loaded_info == info
        assert expected[-1].size(1) >= 4
        assert all(torch.equal(a, b) for a, b in zip(outputs(loaded, tiny_batch), expected, strict=True))


@pytest.mark.parametrize(("scheme", "variant"), REFUSED)
def test_the_settings_left_out_above_are_refused(scheme, variant):
    """No combination goes unpacked and unrefused."""
    with pytest.raises(UserError, match="clip_value"):
        scheme_of(scheme, QuantizationConfig(**VARIANTS[variant]))


def test_a_loaded_package_generates_under_the_decoding_it_was_evaluated_with(make_package, make_student, tiny_batch):
    """`model.generate(...)` without further settings is what the scores are about."""
    folder, _ = make_package("8-8-8")
    (loaded, info), (student, _) = load_package(folder), make_student("8-8-8")
    sources = [
        ids[mask.bool()].tolist() for ids, mask in zip(tiny_batch.input_ids, tiny_batch.attention_mask, strict=True)
    ]
    expected = generate_ids(student, sources, 1, info.decoding)
    assert loaded.generation_config.num_beams == info.decoding.num_beams == 3
    assert torch.equal(loaded.generate(tiny_batch.input_ids, attention_mask=tiny_batch.attention_mask), expected)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_converting_changes_no_logit_over_many_seeds(make_student, tiny_batch, scheme):
    """Same codes, same scales, same arithmetic."""
    for seed in range(5):
        student, info = make_student(scheme, seed=seed)
        with torch.no_grad():
            expected = signals_of(student, tiny_batch).logits
            convert(student, sites_of(student), info.scheme)
            assert torch.equal(signals_of(student, tiny_batch).logits, expected)


@pytest.mark.parametrize("options", [{"lm_head": False}, {"attention": False}, {"position_bits": 32}])
def test_recipe_options_survive_the_package(make_student, make_package, tiny_batch, options):
    """A head in full precision, plain attention, plain positions."""
    expected = outputs(make_student("2-2-8", **options)[0], tiny_batch)
    loaded, _ = load_package(make_package("2-2-8", **options)[0])
    assert all(torch.equal(a, b) for a, b in zip(outputs(loaded, tiny_batch), expected, strict=True))


def test_a_student_with_a_nan_weight_is_not_packed(make_student):
    """An error, not a file full of plausible codes."""
    student, info = make_student("2-2-8")
    with torch.no_grad():
        student.model.encoder.layers[0].fc1.shadow_weight[3, 4] = float("nan")
    with pytest.raises(NonFiniteError):
        convert(student, sites_of(student), info.scheme)
