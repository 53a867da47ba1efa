"""The laws of students and packages hold for every family."""

import pytest
import torch
from teachers import ADAPTERS, CASES, RECIPES, Words, maps, random_teacher
from transformers import AutoConfig, T5Config, T5ForConditionalGeneration

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.evaluation.generate import generation_config
from pipeline.export.package import PackageInfo, load_package, write_package
from pipeline.models.families import families
from pipeline.models.load import load_pretrained, read_model_config
from pipeline.models.student import build_student, meta_model, prepare_student, sites_of
from pipeline.quantization.fake_quantize import set_weight_caching
from pipeline.quantization.footprint import paper_bytes
from pipeline.quantization.packed_layers import convert, packed_weights
from pipeline.quantization.scheme import scheme_of


@pytest.fixture(params=sorted(ADAPTERS))
def family(request):
    """Every family as every kind of model."""
    return ADAPTERS[request.param]


@pytest.fixture
def teacher(family):
    """A random model of the family."""
    return random_teacher(family)


@pytest.fixture
def inputs(family, tiny_batch):
    """One padded batch, with decoder inputs where there is a decoder."""
    encoder = {"input_ids": tiny_batch.input_ids, "attention_mask": tiny_batch.attention_mask}
    return encoder | ({"decoder_input_ids": tiny_batch.decoder_input_ids} if family.decoder else {})


def test_every_family_of_the_issue_has_an_adapter():
    """Eight of them."""
    assert sorted(families()) == ["bart", "bert", "marian", "mbart", "mt5", "pegasus", "roberta", "t5"]


def test_sites_are_the_linears_and_tables_of_the_layers(family, teacher):
    """Each attention has four linears among the sites; each layer one linear after its activation function."""
    sites, num_stacks = sites_of(teacher), len(family.stacks)
    assert len(sites.attentions) == 3 if num_stacks == 1 else 9
    assert [site.kind for site in sites.attentions[::-1][:2]] == (
        ["cross", "decoder"] if family.decoder else ["encoder"] * 2
    )
    assert sorted({site.layer for site in sites.attentions}) == [0, 1, 2]
    assert {name for site in sites.attentions for name in (site.query, site.key, site.value, site.output)} < set(
        sites.linears
    )
    assert len(sites.post_activations) == 3 * num_stacks
    matrices = {name for name, parameter in teacher.named_parameters() if parameter.ndim == 2}
    left = matrices - {f"{name}.weight" for name in (*sites.linears, *sites.embeddings, *sites.positions)}
    heads = (
        "lm_head",
        "relative_attention_bias",
        "token_type",
        "pooler",
        "classifier",
        "cls.predictions",
        *family.computed,
    )
    assert all(any(part in name for part in heads) for name in left)


def test_a_student_with_all_layers_is_the_teacher(family, teacher, inputs):
    """Bit for bit."""
    student = build_student(teacher, *maps(family, 0, 1, 2), 0.0).eval()
    assert torch.equal(student(**inputs).logits, teacher(**inputs).logits)


def test_student_layers_are_copies_of_the_mapped_ones(family, teacher):
    """Layer 1 of the student is layer 2 of the teacher; relative positions stay with the first layer."""
    student = build_student(teacher, *maps(family, 0, 2), 0.25)
    assert family.num_layers(student.config) == (2, 2 if family.decoder else 0)
    assert getattr(student.config, family.dropout) == 0.25
    theirs = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        for stack in family.stacks:
            name = name.replace(f"{stack.prefix}.1.", f"{stack.prefix}.2.")
        assert torch.equal(tensor, theirs[name]), name
    alone = build_student(teacher, *maps(family, 2), 0.0).state_dict()  # its first layer is the teacher's last
    for name in (name for name in alone if any(part in name for part in family.first_layer_only)):
        assert torch.equal(alone[name], theirs[name])


def test_32_bits_change_nothing(family, teacher, inputs):
    """Outputs and gradients of a student at 32-32-32 are those of the plain one, bit for bit."""
    plain, prepared = (build_student(teacher, *maps(family, 0, 2), 0.0).eval() for _ in range(2))
    prepare_student(prepared, scheme_of("32-32-32", QuantizationConfig()))
    for model in (plain, prepared):
        model(**inputs).logits.square().sum().backward()
    for mine, theirs in zip(plain.parameters(), prepared.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None)
        assert mine.grad is None or torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize(("scheme", "recipe"), CASES)
def test_the_package_gives_what_the_student_gave(family, teacher, inputs, tiny_tokenizer, tmp_path, scheme, recipe):
    """Logits and generated tokens of the loaded package equal those of the fake-quantized student, exactly."""
    # Different heads are left in every layer; rows of 32 shall stay rows of groups.
    heads = {} if recipe == "groups" else {site.module: [i % 3, 3] for i, site in enumerate(teacher_sites(teacher))}
    student = build_student(teacher, *maps(family, 0, 2), 0.0, heads).eval()
    settings = scheme_of(scheme, QuantizationConfig(**RECIPES[recipe]))
    prepare_student(student, settings)
    decoding = DecodingConfig(num_beams=2, max_length=10)
    with torch.no_grad():
        logits = student(**inputs).logits
        tokens = generate(family, student, inputs, decoding)
    convert(student, sites_of(student), settings)
    info = PackageInfo(
        scheme=settings,
        encoder_map=[0, 2],
        decoder_map=maps(family, 0, 2)[1],
        heads=heads,
        decoding=decoding,
        source_prefix="",
        source_language=None,
        target_language=None,
        max_source_tokens=32,
    )
    write_package(tmp_path / "packed", student, tiny_tokenizer, info)
    loaded, _ = load_package(tmp_path / "packed")
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, logits)
        assert torch.equal(generate(family, loaded, inputs, decoding), tokens)
    assert set(packed_weights(loaded)) == set(packed_weights(student))


def teacher_sites(teacher):
    """Attention sites of a 2-2 student."""
    return [site for site in sites_of(teacher).attentions if site.layer < 2]


def generate(family, model, inputs, decoding):
    """Generated tokens, or nothing of a classifier."""
    if family.decoder is None:
        return torch.zeros(0)
    model.generation_config = generation_config(model.config, decoding)
    return model.generate(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])


def test_padding_and_batch_mates_change_nothing(family, teacher, inputs):
    """Recipe best: an example alone has the logits that it has in a batch, to rounding."""
    student = build_student(teacher, *maps(family, 0, 2), 0.0).eval()
    prepare_student(student, scheme_of("4-4-8", QuantizationConfig()))
    length = int(inputs["attention_mask"][0].sum())
    alone = {name: tensor[:1, :length] if "decoder" not in name else tensor[:1] for name, tensor in inputs.items()}
    with torch.no_grad():
        torch.testing.assert_close(student(**alone).logits, student(**inputs).logits[:1], atol=2e-5, rtol=0)


def test_gradients_reach_every_shadow_weight(family, teacher, inputs):
    """With and without the cache of quantized weights, the same."""
    gradients = []
    for caching in (True, False):
        student = build_student(teacher, *maps(family, 0, 2), 0.0).eval()
        prepare_student(student, scheme_of("2-2-8", QuantizationConfig()))
        set_weight_caching(student, caching)
        student(**inputs).logits.square().sum().backward()
        sites = sites_of(student)
        names = (*sites.linears, *sites.embeddings, *sites.positions)
        gradients.append({name: student.get_submodule(name)._parameters["weight"].grad for name in names})
    for name, gradient in gradients[0].items():
        assert gradient is not None and gradient.isfinite().all(), name
        assert torch.equal(gradient, gradients[1][name]), name


def test_what_the_architecture_computes_is_neither_trained_nor_counted(family, teacher):
    """Sinusoids are frozen; the papers' size counts everything else, four bytes each."""
    trained = sum(parameter.numel() for parameter in teacher.parameters() if parameter.requires_grad)
    outlined = meta_model(teacher.config)
    assert paper_bytes(outlined, sites_of(outlined), 32, 32) == 4 * trained
    assert all(not teacher.get_parameter(name).requires_grad for name in family.computed)


def test_a_saved_model_is_read_back_as_its_family(family, teacher, inputs, tmp_path):
    """Without being told which; another family asked for is refused."""
    teacher.save_pretrained(tmp_path)
    model = ModelConfig(pretrained=str(tmp_path))
    loaded = load_pretrained(model, 203, model_config=read_model_config(model, None, kind=family.kind)).eval()
    assert torch.equal(loaded(**inputs).logits, teacher(**inputs).logits)
    other = "t5" if family.name != "t5" else "bart"
    with pytest.raises(UserError, match=r"model\.family"):
        load_pretrained(ModelConfig(pretrained=str(tmp_path), family=other), 203)


def test_heads_that_do_not_divide_the_width_are_refused(family):
    """With what to change."""
    model = ModelConfig(family=family.name, architecture=ArchitectureConfig(d_model=30, num_heads=4))
    with pytest.raises(UserError, match="not divisible by 4 heads"):
        read_model_config(model, Words(bos_token_id=0, pad_token_id=1, eos_token_id=2))


def test_an_unknown_family_is_refused(tmp_path):
    """With the families there are."""
    AutoConfig.for_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="bart, bert, marian, mbart, mt5, pegasus, roberta, t5"):
        read_model_config(ModelConfig(pretrained=str(tmp_path)), None)


def test_t5_with_unscaled_outputs_stays_so(tmp_path):
    """T5 1.1 does not scale what enters its head; a saved copy does not begin to."""
    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "vocab_size": 50}
    model = T5ForConditionalGeneration(T5Config(**sizes, feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    model.set_attn_implementation("eager")
    student = build_student(model, [0], [0], 0.0)
    student.save_pretrained(tmp_path)
    loaded = load_pretrained(ModelConfig(pretrained=str(tmp_path)), 50)
    ids = torch.arange(6).view(1, -1)
    for other in (student, loaded):
        assert torch.equal(
            other.eval()(ids, decoder_input_ids=ids).logits, model.eval()(ids, decoder_input_ids=ids).logits
        )
