"""The weights say which token matrices are one: students, packages, graphs and sizes follow."""

import pytest
import torch
from folders import set_config, set_tensors
from safetensors.torch import load_file
from teachers import CASES, RECIPES, maps, random_teacher
from transformers import MarianConfig, MarianMTModel, T5Config, T5ForConditionalGeneration

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.task import DecodingConfig
from pipeline.evaluation.generate import generate_ids
from pipeline.export.onnx.export import export_package
from pipeline.export.package import PackageInfo, load_package, write_package
from pipeline.models.families import family_named, family_of
from pipeline.models.load import check_checkpoint, load_model, load_pretrained, read_model_config
from pipeline.models.student import build_student, check_scheme, meta_model, prepare_student, sites_of
from pipeline.quantization.footprint import paper_bytes
from pipeline.quantization.packed_layers import convert, packed_weights
from pipeline.quantization.scheme import scheme_of
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.stages.memory import num_parameters

VOCAB_SIZE = 320
# What of a family's model is a matrix of its own in the file, and what the others then share.
KINDS = {
    "t5 1.1": ("t5", ["lm_head"]),
    "bart head": ("bart", ["lm_head"]),
    "pegasus encoder": ("pegasus", ["model.encoder.embed_tokens"]),
    "mbart all": ("mbart", ["model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"]),
    "marian apart": ("marian", []),
    "marian apart, own head": ("marian", ["lm_head"]),
}


def gated_t5():
    """T5 1.1: gated feed-forward layers, nothing scaled before the head."""
    config = T5Config(
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_heads=4,
        num_layers=3,
        vocab_size=VOCAB_SIZE,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        dropout_rate=0.0,
    )
    torch.manual_seed(0)
    return T5ForConditionalGeneration(config)


def marian_apart(tokenizer):
    """Embeddings of their own for encoder and decoder, of one vocabulary."""
    shared = random_teacher(family_named("marian"), tokenizer).config
    torch.manual_seed(0)
    return MarianMTModel(MarianConfig(**shared.to_dict() | {"share_encoder_decoder_embeddings": False}))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tiny_tokenizer, tmp_path):
    """Such a model as `save_pretrained` writes it where its matrices differ."""
    name, own = KINDS[kind]
    if kind == "t5 1.1":
        model = gated_t5()
    elif "apart" in kind:
        model = marian_apart(tiny_tokenizer)
    else:
        model = random_teacher(family_named(name), tiny_tokenizer)
    torch.manual_seed(1)
    for user in own:
        model.get_submodule(user).weight = torch.nn.Parameter(0.1 * torch.randn(VOCAB_SIZE, 32))
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def teacher(folder):
    return load_pretrained(ModelConfig(pretrained=str(folder)), VOCAB_SIZE).eval()


def own_matrices(model):
    """Users of token matrices by the matrix that they share."""
    sites, groups = sites_of(model), {}
    for user in sites.matrix_of:
        groups.setdefault(id(model.get_submodule(user)._parameters["weight"]), []).append(user)
    return sorted(groups.values())


def batch():
    ids = torch.arange(5, 29).view(2, 12)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "decoder_input_ids": ids[:, :7]}


def packed_student(teacher, scheme, tokenizer, folder, **quantization):
    """(fake-quantized logits and tokens, the loaded package) of a 2-2 student."""
    family, settings = family_of(teacher.config), scheme_of(scheme, QuantizationConfig(**quantization))
    layers = (0, 1, 2) if scheme == "32-32-32" else (0, 2)
    student = build_student(teacher, *maps(family, *layers), 0.0).eval()
    prepare_student(student, settings)
    decoding = DecodingConfig(num_beams=2, max_length=10)
    with torch.no_grad():
        said = student(**batch()).logits, generate_ids(student, batch()["input_ids"].tolist(), 1, decoding)
    convert(student, sites_of(student), settings)
    info = PackageInfo(
        scheme=settings,
        encoder_map=list(layers),
        decoder_map=list(layers),
        heads={},
        decoding=decoding,
        source_prefix="",
        source_language=None,
        target_language=None,
        max_source_tokens=32,
    )
    size = write_package(folder, student, tokenizer, info)
    return said, load_package(folder)[0], size


def test_the_loaded_model_is_the_stored_one(folder, teacher):
    """Every matrix of the file is in the model, once, and transformers reads the same."""
    stored = load_file(folder / "model.safetensors")
    state = teacher.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in stored.items())
    plain = type(teacher).from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        assert torch.equal(plain(**batch()).logits, teacher(**batch()).logits)


def test_a_student_of_all_layers_at_32_bits_is_the_teacher(teacher, tiny_tokenizer, tmp_path):
    """Difference exactly 0, through the package too; as many token matrices as the teacher has."""
    (logits, _), loaded, _ = packed_student(teacher, "32-32-32", tiny_tokenizer, tmp_path / "packed")
    with torch.no_grad():
        assert torch.equal(logits, teacher(**batch()).logits)
        assert torch.equal(loaded(**batch()).logits, logits)
    assert own_matrices(loaded) == own_matrices(teacher)
    assert len(own_matrices(teacher)) > 1


@pytest.mark.parametrize(("scheme", "recipe"), CASES)
def test_the_package_gives_what_the_student_gave(teacher, tiny_tokenizer, tmp_path, scheme, recipe):
    """Logits and tokens, exactly, under every recipe, with the output projection quantized or not."""
    (logits, tokens), loaded, _ = packed_student(
        teacher, scheme, tiny_tokenizer, tmp_path / "packed", **RECIPES[recipe]
    )
    with torch.no_grad():
        assert torch.equal(loaded(**batch()).logits, logits)
    assert torch.equal(
        generate_ids(loaded, batch()["input_ids"].tolist(), 1, DecodingConfig(num_beams=2, max_length=10)), tokens
    )


def test_every_matrix_is_packed_once_at_its_own_bits(teacher, tiny_tokenizer, tmp_path):
    """A pattern reaches a matrix by its first user's name."""
    firsts = list(dict.fromkeys(sites_of(teacher).matrix_of.values()))
    settings = {"bits": [f"{firsts[-1]}=8"]}
    check_scheme(teacher.config, scheme_of("2-4-8", QuantizationConfig(**settings)))
    _, loaded, _ = packed_student(teacher, "2-4-8", tiny_tokenizer, tmp_path / "packed", **settings)
    weights = packed_weights(loaded)
    assert {first: weights[first].bits for first in firsts} == dict.fromkeys(firsts[:-1], 4) | {firsts[-1]: 8}
    assert len({id(weights[user]) for user in sites_of(loaded).matrix_of}) == len(firsts)


def test_sizes_count_every_matrix(folder, teacher, tiny_tokenizer, tmp_path):
    """Parameters, the papers' formula, bytes on disk: known from the configuration alone."""
    shape, count = read_model_config(ModelConfig(pretrained=str(folder)), tiny_tokenizer), len(own_matrices(teacher))
    assert num_parameters(shape) == sum(parameter.numel() for parameter in teacher.parameters())
    model, table = meta_model(shape), VOCAB_SIZE * 32
    sites = sites_of(model)
    assert paper_bytes(model, sites, 2, 8) - paper_bytes(model, sites, 2, 2) == count * table * 6 / 8
    has_own_head = sites.matrix_of["lm_head"] == "lm_head"
    assert paper_bytes(model, sites, 2, 2, 32) - paper_bytes(model, sites, 2, 2) == has_own_head * table * 30 / 8
    sizes = [packed_student(teacher, f"2-{e}-8", tiny_tokenizer, tmp_path / str(e))[2] for e in (2, 8)]
    assert abs(sizes[1] - sizes[0] - count * table * 6 / 8) < 200  # the header's numbers have more digits


@pytest.mark.parametrize("recipe", [{}, {"lm_head": False}])
def test_graphs_say_what_the_package_says(teacher, tiny_tokenizer, tmp_path, recipe):
    """Token by token."""
    packed_student(teacher, "8-8-8", tiny_tokenizer, tmp_path / "packed", **recipe)
    info = export_package(tmp_path / "packed", tmp_path / "onnx", "exact")
    assert info.parity.same_choices > 0.9
    package, _ = load_package(tmp_path / "packed")
    decoding, sources = DecodingConfig(num_beams=1, max_length=8), batch()["input_ids"].tolist()
    runtime = OnnxAnswerer(tmp_path / "onnx", num_threads=1, check=False)
    said = generate_ids(package, sources, 1, decoding).tolist()
    assert [row + [1] * (len(said[0]) - len(row)) for row in runtime.generate_ids(sources, decoding)] == said


def test_several_ends_reach_the_exported_folder(tiny_tokenizer, tmp_path):
    """Its manifest names them all; its texts end where those of the package do."""
    teacher, sources = random_teacher(family_named("bart"), tiny_tokenizer), torch.arange(5, 61).view(8, 7).tolist()
    usual = generate_ids(teacher, sources, 1, DecodingConfig(num_beams=1, max_length=12))
    teacher.config.eos_token_id = [2, *sorted({*usual[:, 5:8].flatten().tolist()} - {1, 2})]  # what it likes to say
    packed_student(teacher, "32-32-32", tiny_tokenizer, tmp_path / "packed")
    tokens = export_package(tmp_path / "packed", tmp_path / "onnx", "exact").tokens
    assert tokens.ends == teacher.config.eos_token_id and tokens.eos == 2
    package, _ = load_package(tmp_path / "packed")
    runtime = OnnxAnswerer(tmp_path / "onnx", num_threads=1, check=False)
    for num_beams in (1, 2):
        decoding = DecodingConfig(num_beams=num_beams, max_length=12)
        said, ours = generate_ids(package, sources, 1, decoding).tolist(), runtime.generate_ids(sources, decoding)
        assert [row + [1] * (len(said[0]) - len(row)) for row in ours] == said
        assert any(row[-1] in tokens.more_ends for row in ours)


def test_a_saved_teacher_keeps_its_matrices(teacher, tmp_path):
    """Also where two of them are equal by chance, and so look like one."""
    firsts = list(dict.fromkeys(sites_of(teacher).matrix_of.values()))
    teacher.save_pretrained(tmp_path / "saved")
    loaded = load_model(tmp_path / "saved", torch.device("cpu"))
    assert own_matrices(loaded) == own_matrices(teacher)
    with torch.no_grad():
        assert torch.equal(loaded(**batch()).logits, teacher(**batch()).logits)
        teacher.get_submodule(firsts[-1]).weight.copy_(teacher.get_submodule(firsts[0]).weight)
    teacher.save_pretrained(tmp_path / "equal")
    assert own_matrices(load_model(tmp_path / "equal", torch.device("cpu"))) == own_matrices(teacher)


@pytest.mark.parametrize("said", [True, False, None])
@pytest.mark.parametrize("name", ["bart", "mbart", "pegasus", "t5"])
def test_the_weights_decide_not_the_configuration(tiny_tokenizer, tmp_path, name, said):
    """A head that differs is a matrix, one that is equal is none, whatever tie_word_embeddings says."""
    model = random_teacher(family_named(name), tiny_tokenizer)
    model.save_pretrained(tmp_path)
    set_config(
        tmp_path,
        "tie_word_embeddings",
        "scale_decoder_outputs",
        **({} if said is None else {"tie_word_embeddings": said}),
    )
    [table] = [key for key in load_file(tmp_path / "model.safetensors") if key.endswith("shared.weight")]
    for head, own in ((torch.randn(VOCAB_SIZE, 32), True), (model.lm_head.weight.detach().clone(), False)):
        set_tensors(tmp_path, lambda tensors, head=head: {**tensors, "lm_head.weight": head})
        loaded = load_pretrained(ModelConfig(pretrained=str(tmp_path)), VOCAB_SIZE)
        assert torch.equal(loaded.lm_head.weight, head)
        assert torch.equal(loaded.state_dict()[table], model.state_dict()[table])
        assert (len(own_matrices(loaded)) == 2) == own
        scales = getattr(loaded.config, "scale_decoder_outputs", None)
        assert scales == (said is not False if name == "t5" else None)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_a_head_of_its_own_that_is_lost_is_refused(tiny_tokenizer, tmp_path, name):
    """It cannot be told from a shared one by the tensors alone; the configuration says that it is none."""
    random_teacher(family_named(name), tiny_tokenizer).save_pretrained(tmp_path)
    set_config(tmp_path, tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"lacks lm_head\.weight"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)))


def without_shared(**others):
    """Changes tensors: no common embedding, but these users' own."""
    return lambda tensors: {
        **{key: tensor for key, tensor in tensors.items() if "shared" not in key and "lm_head" not in key},
        **{f"{user}.weight": tensor.clone() for user, tensor in others.items()},
    }


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_a_head_that_could_be_either_embedding_is_refused(tiny_tokenizer, tmp_path, name):
    """Encoder and decoder have their own, and neither head nor common embedding says which of them is put out."""
    family = family_named(name)
    random_teacher(family, tiny_tokenizer).save_pretrained(tmp_path)
    torch.manual_seed(1)
    one, other = torch.randn(2, VOCAB_SIZE, 32)
    model = ModelConfig(pretrained=str(tmp_path))
    encoder, decoder = family.embeddings[1:]
    set_tensors(tmp_path, without_shared(**{encoder: one, decoder: other}))
    with pytest.raises(UserError, match=r"lacks lm_head\.weight, which could be any of the different matrices"):
        check_checkpoint(model)
    set_tensors(tmp_path, without_shared(**{encoder: one, decoder: other, "lm_head": other}))
    loaded = load_pretrained(model, VOCAB_SIZE)
    assert torch.equal(loaded.lm_head.weight, other) and loaded.lm_head.weight is loaded.get_submodule(decoder).weight
    assert torch.equal(loaded.get_submodule(encoder).weight, one)
    loaded.save_pretrained(tmp_path / "again")
    again = load_pretrained(ModelConfig(pretrained=str(tmp_path / "again")), VOCAB_SIZE)
    assert own_matrices(again) == own_matrices(loaded)


def test_an_embedding_that_is_not_shared_must_be_there(tiny_tokenizer, tmp_path):
    """A head alone, whose configuration says that it is not the embedding, leaves every embedding open."""
    random_teacher(family_named("bart"), tiny_tokenizer).save_pretrained(tmp_path)
    set_tensors(tmp_path, without_shared(lm_head=torch.ones(VOCAB_SIZE, 32)))
    assert check_checkpoint(ModelConfig(pretrained=str(tmp_path))).unused == []
    set_config(tmp_path, tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"lacks model\.shared\.weight, which its configuration does not share"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)))
