"""Every tensor of a model folder is accounted for before anything is trained."""

import pytest
import torch
from folders import WEIGHTS, set_config, set_tensors
from safetensors.torch import load_file
from teachers import random_teacher
from transformers import BertForMaskedLM, BertModel, RobertaModel

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.models.families import families, family_named
from pipeline.models.load import check_checkpoint, load_model, load_pretrained

CPU = torch.device("cpu")


@pytest.fixture
def make_folder(tmp_path):
    """A folder of a random model of a family."""

    def make(name):
        model = random_teacher(family_named(name))
        model.save_pretrained(tmp_path / name)
        return tmp_path / name, model

    return make


def refused(folder, *said):
    """The driver's check and the worker's loading refuse it alike, with these words."""
    for load in (lambda: check_checkpoint(of(folder)), lambda: load_pretrained(of(folder), 203)):
        with pytest.raises(UserError) as caught:
            load()
        assert all(words in str(caught.value) for words in (str(folder), *said)), caught.value


def of(folder):
    return ModelConfig(pretrained=str(folder))


@pytest.mark.parametrize("name", sorted(families()))
def test_a_whole_folder_is_whole(make_folder, name):
    """Tied and computed tensors are stored once or not at all."""
    folder, model = make_folder(name)
    account = check_checkpoint(of(folder))
    assert (account.drawn, account.unused) == ([], [])
    for tensor, loaded in load_model(folder, CPU).state_dict().items():
        assert torch.equal(loaded, model.state_dict()[tensor]), tensor


@pytest.mark.parametrize("name", sorted(families()))
def test_keys_of_a_wrapped_model_are_refused(make_folder, name):
    """`module.` in front, as DistributedDataParallel writes it: nothing would be loaded."""
    folder, _ = make_folder(name)
    set_tensors(folder, lambda tensors: {f"module.{key}": tensor for key, tensor in tensors.items()})
    refused(folder, "lacks", "no place for", "module.")


@pytest.mark.parametrize("name", sorted(families()))
def test_a_lost_layer_is_refused(make_folder, name):
    """With its first tensor, and how many there are."""
    folder, model = make_folder(name)
    lost = f"{family_named(name).stacks[-1].prefix}.2."
    count = sum(key.startswith(lost) for key in model.state_dict())
    set_tensors(folder, lambda tensors: {key: t for key, t in tensors.items() if not key.startswith(lost)})
    refused(folder, f"lacks {count} tensors, the first {lost}")


@pytest.mark.parametrize(
    ("name", "setting", "table"),
    [
        ("bert", "max_position_embeddings", "position_embeddings"),
        ("bart", "max_position_embeddings", "embed_positions"),
        ("t5", "d_ff", "wi"),
        ("bart", "vocab_size", "model.shared"),
    ],
)
def test_other_shapes_than_the_configuration_s_are_refused(make_folder, name, setting, table):
    """BERT with 64 positions over a table of 48: a quarter of it would be drawn at random."""
    folder, model = make_folder(name)
    set_config(folder, **{setting: getattr(model.config, setting) + 16})
    refused(folder, table, "of shape", "asks for")


def test_what_no_model_reads_is_named_and_what_is_harmless_is_not(make_folder):
    """A layer more than the configuration has is worth a word; an old file's position numbers are not."""
    folder, _ = make_folder("bart")
    more = {"model.encoder.layers.7.fc1.bias": torch.zeros(64), "encoder.version": torch.zeros(1)}
    set_tensors(folder, lambda tensors: {**tensors, **more})
    assert check_checkpoint(of(folder)).unused == ["model.encoder.layers.7.fc1.bias"]


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, RobertaModel])
def test_an_encoder_s_file_gets_a_new_classifier(make_folder, tmp_path, kind):
    """With or without a pooler; heads of its pre-training are left behind without a word."""
    name = "roberta" if kind is RobertaModel else "bert"
    _, model = make_folder(name)
    torch.manual_seed(1)
    kind(model.config).save_pretrained(tmp_path / "encoder")
    account = check_checkpoint(of(tmp_path / "encoder"))
    assert any(key.startswith("classifier.") for key in account.drawn)
    assert any("pooler" in key for key in account.drawn) == (kind is BertForMaskedLM)
    assert account.unused == []
    assert load_pretrained(of(tmp_path / "encoder"), 203, ["no", "yes", "maybe"]).num_labels == 3


def test_half_a_classifier_is_refused(make_folder):
    """BERT's pooler belongs to a classifier that is there."""
    folder, _ = make_folder("bert")
    set_tensors(folder, lambda tensors: {key: t for key, t in tensors.items() if "pooler" not in key})
    refused(folder, "lacks 2 tensors, the first bert.pooler.dense.bias")


def test_names_of_older_versions_are_known(make_folder):
    """Layer norms were called gamma and beta; base models are saved without their prefix."""
    folder, model = make_folder("bert")
    older = [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")]

    def renamed(tensors):
        for new, old in older:
            tensors = {key.replace(new, old): tensor for key, tensor in tensors.items()}
        return tensors

    set_tensors(folder, renamed)
    assert check_checkpoint(of(folder)).drawn == []
    loaded = load_pretrained(of(folder), 203).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", ["bart", "marian", "mbart", "pegasus"])
def test_a_base_model_s_file_is_a_whole_one(make_folder, tmp_path, name):
    """Without the prefix and the head, which is the embedding; some hub files are such (facebook/bart-base)."""
    _, model = make_folder(name)
    model.final_logits_bias.zero_()
    model.base_model.save_pretrained(tmp_path / "base")
    assert check_checkpoint(of(tmp_path / "base")).unused == []
    loaded = load_pretrained(of(tmp_path / "base"), 203)
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded.state_dict().items())
    assert loaded.lm_head.weight is loaded.model.shared.weight is loaded.model.decoder.embed_tokens.weight


@pytest.mark.parametrize("name", ["marian", "pegasus"])
def test_sinusoids_are_computed_whatever_a_file_has(make_folder, name):
    """Files in half precision have rounded ones; packages store none, so teachers must have the same."""
    folder, model = make_folder(name)
    computed = {key: torch.zeros_like(model.get_parameter(key)) for key in family_named(name).computed}
    set_tensors(folder, lambda tensors: {**tensors, **computed})
    loaded = load_pretrained(of(folder), 203)
    assert all(torch.equal(loaded.get_parameter(key), model.get_parameter(key)) for key in computed)


def test_quantized_weights_are_refused(make_folder):
    """Integers would be read as if they were weights."""
    folder, _ = make_folder("bart")
    name = "model.encoder.layers.0.fc1.weight"
    set_tensors(folder, lambda tensors: {**tensors, name: tensors[name].to(torch.int8)})
    refused(folder, name, "I8")


def test_a_folder_of_pickles_is_refused_before_it_is_read(make_folder):
    """By its own name, with a remedy; a folder without any weights likewise."""
    folder, _ = make_folder("bart")
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    refused(folder, "only pytorch_model.bin", "save_pretrained", "trust")
    (folder / "pytorch_model.bin").unlink()
    refused(folder, "no weights")


def test_a_shard_that_is_missing_or_cut_is_refused(make_folder):
    """By its folder's name."""
    folder, model = make_folder("bart")
    (folder / WEIGHTS).unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 1 and check_checkpoint(of(folder)).drawn == []
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[: len(content) // 2])
    refused(folder, "cannot be read")
    shards[1].unlink()
    refused(folder, "cannot be read", shards[1].name)


def test_copies_of_a_table_of_another_shape_are_refused(make_folder):
    """Stored once per user, as older versions did."""
    folder, model = make_folder("t5")
    set_tensors(folder, lambda tensors: {**tensors, "lm_head.weight": tensors["shared.weight"].clone()})
    set_config(folder, vocab_size=model.config.vocab_size + 5)
    refused(folder, "lm_head.weight of shape (203, 32) and 1 more", "asks for (208, 32)")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bart", "bert", "t5"])
def test_numbers_that_are_none_are_refused(make_folder, name, number):
    """In what a model reads; what it does not read is no matter."""
    folder, _ = make_folder(name)
    key = next(key for key in sorted(load_file(folder / WEIGHTS)) if "final_layer_norm" in key or "output" in key)
    unread = {"of.another.model": torch.tensor([number]), "position_ids": torch.tensor(number)}
    set_tensors(folder, lambda tensors: {**tensors, **unread})
    assert check_checkpoint(of(folder)).unused == ["of.another.model"]
    set_tensors(folder, lambda tensors: {**tensors, key: tensors[key] * number})
    with pytest.raises(UserError, match=f"holds NaN or infinity in {key}"):
        check_checkpoint(of(folder))


def test_a_model_that_another_tool_quantized_is_refused(make_folder):
    """By its configuration, before transformers looks for that tool."""
    folder, _ = make_folder("t5")
    set_config(folder, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    refused(folder, "quantized by another tool")


@pytest.mark.parametrize("name", sorted(families()))
def test_what_no_family_reads_in_a_configuration_changes_nothing(make_folder, name):
    """Settings of other families, and of how outputs are handed over."""
    folder, model = make_folder(name)
    odd = {"return_dict": False, "is_encoder_decoder": family_named(name).decoder is None}
    if name != "marian":
        odd |= {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 7}
    set_config(folder, **odd)
    assert check_checkpoint(of(folder)).unused == []
    loaded = load_pretrained(of(folder), 203).eval()
    ids = torch.arange(5, 17).view(2, 6)
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids} if family_named(name).decoder else {})
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
