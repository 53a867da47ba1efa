"""A masked language model that fills masks, for tokenizers of all kinds."""

import random
from types import SimpleNamespace

import pytest
import torch
from hub_folders.bert_like import bert, roberta
from texts_of_the_world import EXAMPLES
from transformers import AutoModelForMaskedLM, AutoTokenizer

from pipeline.augmentation.generators.masked_lm_fill import MaskedLMFill
from pipeline.augmentation.generators.span_refill import SpanRefill
from pipeline.augmentation.generators.text_generator import TextGenerator
from pipeline.config.errors import UserError


@pytest.fixture(scope="module", params=[bert, roberta], ids=["bert", "roberta"])
def parts(request, tmp_path_factory):
    """A random masked LM and its tokenizer."""
    folder = request.param(tmp_path_factory.mktemp("model") / "folder")
    return AutoModelForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def fill_of(parts, **options):
    """Who fills; 32 tokens at once."""
    return MaskedLMFill(*parts, **{"max_tokens": 32} | options)


def masked(fill, *texts):
    """Texts in which # stands for the mask."""
    return [text.replace("#", fill.mask) for text in texts]


TEXTS = ["the # river # # green", "#", "# #", "我#在#里", "a # bird, # sits\n# on  a #.", "# " * 90, "no mask at all"]


def test_masks_are_filled_and_the_rest_stays_to_the_letter(parts):
    """Capitals, space, scripts that the tokenizer does not know, texts that are longer than the model reads."""
    fill = fill_of(parts)
    texts = ["The # River # GREEN,  Stone\n#!", "我#在#里", "# é ", "the small " * 60 + "# end"]
    for text, filled in zip(texts, fill(masked(fill, *texts), range(len(texts))), strict=True):
        rest = filled
        for number, piece in enumerate(text.split("#")):
            assert rest.startswith(piece) if number == 0 else piece in rest
            rest = rest[rest.index(piece) + len(piece) :]
        assert fill.mask not in filled and "##" not in filled and filled != text


class Watched:
    """A model that remembers what it was asked."""

    def __init__(self, model):
        self.model, self.config, self.device, self.asked = model, model.config, model.device, []

    def __call__(self, input_ids, attention_mask):
        self.asked.append(input_ids.tolist())
        return self.model(input_ids=input_ids, attention_mask=attention_mask)


@pytest.mark.parametrize("batch_tokens", [1, 64, 2048])
def test_the_order_of_the_texts_changes_nothing(parts, batch_tokens):
    """The model is asked the same batches, to the last bit; with room for less than a text, one by one."""
    model, tokenizer = parts
    found, asked = [], []
    for seed in range(3):
        watched = Watched(model)
        fill = fill_of((watched, tokenizer), batch_tokens=batch_tokens)
        pairs = list(zip(masked(fill, *TEXTS), range(len(TEXTS)), strict=True))
        random.Random(seed).shuffle(pairs)
        found.append(dict(zip(pairs, fill(*zip(*pairs, strict=True)), strict=True)))
        asked.append(watched.asked)
    assert found[0] == found[1] == found[2] and asked[0] == asked[1] == asked[2]
    assert (max(map(len, asked[0])) == 1) == (batch_tokens == 1)


def test_seeds_and_temperatures_decide_what_is_drawn(parts):
    """Other seeds other words; near zero all draw the likeliest, which is that of a single choice."""
    texts = ["the # river # #"] * 20
    fill, cold, single = fill_of(parts), fill_of(parts, temperature=1e-9), fill_of(parts, top_k=1)
    assert len(set(fill(masked(fill, *texts), range(20)))) > 10
    assert len(set(cold(masked(fill, *texts), range(20)))) == 1
    assert cold(masked(fill, *texts), range(20)) == single(masked(fill, *texts), range(20))


def test_what_is_drawn_is_what_the_model_says(parts):
    """The single mask of a text: the likeliest of the words that may begin there."""
    model, tokenizer = parts
    fill = fill_of(parts, top_k=1)
    (text,) = masked(fill, "the small # is green")
    rows = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**rows).logits[rows["input_ids"] == tokenizer.mask_token_id][0]
    (filled,) = fill([text], [0])
    word = filled.removeprefix("the small ").removesuffix(" is green")
    for token in logits.argsort(descending=True).tolist():
        piece = tokenizer.convert_ids_to_tokens(token)
        if (
            token not in tokenizer.all_special_ids
            and not piece.startswith("##")
            and piece.startswith("Ġ") == (any(one.startswith("Ġ") for one in tokenizer.get_vocab()))
        ):
            assert tokenizer.decode([token]).strip() == word
            break


def test_the_second_pass_sees_the_first(parts):
    """And every mask of a text that is longer than a window is filled once."""
    model, tokenizer = parts
    watched = Watched(model)
    fill = MaskedLMFill(watched, tokenizer, max_tokens=32)
    fill(masked(fill, "# small # river # green", "a"), [0, 1])
    fill(masked(fill, "# " * 100), [0])
    num_masks = [sum(row.count(tokenizer.mask_token_id) for row in batch) for batch in watched.asked]
    assert num_masks[:2] == [3, 1] and sum(num_masks[2:]) == 150


def test_a_generator_of_it_makes_texts_in_all_scripts(parts):
    """The same again from the same seed."""
    points = [one for one in EXAMPLES if len(one.source) < 1000]
    refill = SpanRefill(fill=fill_of(parts))
    one, again = (TextGenerator([refill], num_per_point=2, seed=0).generate(1, points) for _ in range(2))
    assert one == again and one.counts["span_refill"].made > len(points)


def test_models_that_cannot_fill_are_refused(parts):
    """No mask token, another vocabulary, no room, no temperature."""
    model, tokenizer = parts
    with pytest.raises(UserError, match="no mask token"):
        fill_of((model, SimpleNamespace(mask_token_id=None)))
    with pytest.raises(UserError, match="knows 7 tokens"):
        fill_of((SimpleNamespace(config=SimpleNamespace(vocab_size=7)), tokenizer))
    with pytest.raises(UserError, match="3 or more"):
        fill_of(parts, max_tokens=2)
    assert fill_of(parts).mask not in fill_of(parts, max_tokens=3)(masked(fill_of(parts), "a # b"), [0])[0]
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="temperature"):
            fill_of(parts, temperature=temperature)
