"""Masked LMs in folders: heads that are the embedding or their own, new or lost, under one encoder or another."""

import pytest
import torch
import transformers
from hub_folders.bert_like import bert, bert_without_pooler, roberta
from hub_folders.files import ENGLISH
from teachers import ADAPTERS, Words, random_teacher

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.tokenise import load_tokenizer
from pipeline.models.families import families, family_named, family_of
from pipeline.models.load import check_checkpoint, load_model, load_teacher, read_model_config
from pipeline.stages.memory import work_of

CPU = torch.device("cpu")
TASK = TaskConfig(objective="masked_lm")
CLASSES = TaskConfig(objective="classification", metric="accuracy")
ENCODERS = ["bert", "roberta"]
SHAPE = ArchitectureConfig(d_model=32, ffn_dim=64, num_heads=4, encoder_layers=2, max_positions=48)
WORDS = Words(bos_token_id=0, pad_token_id=1, eos_token_id=2)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_head_is_the_embedding_in_a_folder_too(name, tmp_path):
    """Stored once, and read back as one parameter; its bias likewise."""
    model = random_teacher(family_named(name, "masked LM"))
    model.save_pretrained(tmp_path)
    loaded, family = load_model(tmp_path, CPU), family_named(name, "masked LM")
    assert family_of(loaded.config) is family
    head = loaded.get_submodule(family.lm_head)
    assert head.weight is loaded.base_model.embeddings.word_embeddings.weight
    assert head.bias is loaded.get_submodule(family.head[0].removesuffix(".")).bias
    account = check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")
    assert (account.drawn, account.unused) == ([], [])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_head_of_its_own_stays_its_own(name, tmp_path):
    """A checkpoint whose output projection is another matrix than its embedding."""
    family = family_named(name, "masked LM")
    model = random_teacher(family)
    head = model.get_submodule(family.lm_head)
    head.weight = torch.nn.Parameter(head.weight.detach() + 0.5)
    model.config.tie_word_embeddings = False
    model.save_pretrained(tmp_path / "mine")
    first = load_teacher(ModelConfig(pretrained=str(tmp_path / "mine")), WORDS, TASK, seed=0)
    first.save_pretrained(tmp_path / "again")
    for loaded in (first, load_model(tmp_path / "again", CPU)):
        assert torch.equal(loaded.get_submodule(family.lm_head).weight, head.weight)
        assert torch.equal(
            loaded.base_model.embeddings.word_embeddings.weight, model.base_model.embeddings.word_embeddings.weight
        )


@pytest.mark.parametrize("name", ENCODERS)
def test_a_masked_lm_becomes_a_classifier_and_the_other_way_round(name, tmp_path):
    """The same encoder under a new head, drawn by the seed; what the other head was is left behind without a word."""
    masked_lm = load_teacher(ModelConfig(family=name, architecture=SHAPE), WORDS, TASK, seed=0)
    masked_lm.save_pretrained(tmp_path / "masked")
    as_it_was, labels = ModelConfig(pretrained=str(tmp_path / "masked")), ["no", "yes"]
    one, other = (load_teacher(as_it_was, WORDS, CLASSES, seed, labels) for seed in (1, 2))
    account = check_checkpoint(as_it_was, None, "classifier")
    assert any(key.startswith("classifier.") for key in account.drawn) and account.unused == []
    drawn = [key for key in account.drawn if key.startswith("classifier.") and key.endswith("weight")]
    assert all(not torch.equal(one.get_parameter(key), other.get_parameter(key)) for key in drawn)
    one.save_pretrained(tmp_path / "classifier")
    back = ModelConfig(pretrained=str(tmp_path / "classifier"))
    again = load_teacher(back, WORDS, TASK, seed=3)
    account = check_checkpoint(back, None, "masked LM")
    assert account.drawn and all(key.startswith(family_of(again.config).head) for key in account.drawn)
    assert account.unused == []
    kinds = [family_of(loaded.config).kind for loaded in (masked_lm, one, again)]
    assert kinds == ["masked LM", "classifier", "masked LM"]
    encoder = masked_lm.base_model.state_dict()
    for loaded in (one, again):
        assert all(torch.equal(tensor, loaded.base_model.state_dict()[key]) for key, tensor in encoder.items())
    decoder = again.get_submodule(family_of(again.config).lm_head)
    assert decoder.weight is again.base_model.embeddings.word_embeddings.weight


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_alone_gets_a_head(name, tmp_path):
    """As of sentence encoders, which have none; the whole of it is new, and its bias starts at 0."""
    whole = random_teacher(family_named(name, "masked LM"))
    whole.base_model.save_pretrained(tmp_path)
    model = ModelConfig(pretrained=str(tmp_path))
    account = check_checkpoint(model, None, "masked LM")
    head = family_named(name, "masked LM").head
    assert account.drawn and all(key.startswith(head) for key in account.drawn)
    loaded = load_teacher(model, WORDS, TASK, seed=1)
    assert not loaded.get_submodule(family_named(name, "masked LM").lm_head).bias.any()
    encoder = whole.base_model.state_dict()
    assert all(torch.equal(tensor, loaded.base_model.state_dict()[key]) for key, tensor in encoder.items())


@pytest.mark.parametrize("make", [bert, bert_without_pooler, roberta], ids=lambda make: make.__name__)
def test_folders_of_the_hub_are_read_whole(make, tmp_path):
    """Old names of norms, no output projection, heads of other tasks: logits are those of transformers, bit for bit."""
    folder = make(tmp_path / "hub")
    model = ModelConfig(pretrained=str(folder))
    account = check_checkpoint(model, None, "masked LM")
    assert (account.drawn, account.unused) == ([], [])
    tokenizer = load_tokenizer(model)
    loaded = load_teacher(model, tokenizer, TASK, seed=0).eval()
    plain = transformers.AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    inputs = dict(tokenizer(ENGLISH, padding=True, return_tensors="pt"))
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, plain(**inputs).logits)
    assert not check_checkpoint(model, None, "classifier").unused


@pytest.mark.parametrize("name", ENCODERS)
def test_half_a_head_is_refused(name, tmp_path):
    """A folder that has part of it has lost the rest; a bias for other tokens is another model's."""
    family = family_named(name, "masked LM")
    model = random_teacher(family)
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(family.lm_head)}
    lost = next(key for key in state if key.startswith(family.head) and key.endswith("dense.bias"))
    model.save_pretrained(tmp_path, state_dict={key: tensor for key, tensor in state.items() if key != lost})
    with pytest.raises(UserError, match=rf"lacks {lost} of a {name} model"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")
    bias = f"{family.head[0]}bias"
    model.save_pretrained(tmp_path, state_dict=state | {bias: torch.zeros(200)})
    with pytest.raises(UserError, match=rf"holds {bias} of shape \(200,\)"):
        check_checkpoint(ModelConfig(pretrained=str(tmp_path)), None, "masked LM")


@pytest.mark.parametrize("name", sorted(set(families()) - set(ENCODERS)))
def test_a_model_with_a_decoder_is_no_masked_lm(name):
    """Whatever it is read for."""
    with pytest.raises(UserError, match=f"a masked LM of the family {name}. Allowed: a seq2seq"):
        read_model_config(ModelConfig(family=name), WORDS, kind="masked LM")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_configuration_says_of_which_kind_its_model_is(name, tmp_path):
    """Read from a folder, too."""
    family = ADAPTERS[name]
    config = random_teacher(family).config
    assert family_of(config) is family
    random_teacher(family).save_pretrained(tmp_path)
    assert family_of(load_model(tmp_path, CPU).config) is family


def test_logits_of_a_masked_lm_are_those_of_the_vocabulary_and_of_a_classifier_its_labels():
    """In the estimates of memory."""
    for name in ENCODERS:
        usual = family_named(name)
        of = {one.kind: work_of(random_teacher(one).config).num_logits for one in (usual, *usual.other_kinds)}
        assert of == {"classifier": 2, "masked LM": 203}
