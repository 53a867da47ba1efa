"""Sequence-level distillation: which text becomes the target."""

import pytest
from datasets import Dataset

from pipeline.config.sections.recipe import SequenceConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.tokenise import with_targets
from pipeline.distillation.pseudo_labels import choose_target

REFERENCE = "read a file from disk"
BEAMS = ["write a file", "read a file from the disk", "read a file"]


@pytest.mark.parametrize(
    ("kind", "minimum", "text"),
    [
        ("pure", 90.0, "write a file"),
        ("interpolated", 90.0, "read a file from the disk"),
        ("filtered", 10.0, "write a file"),
        ("filtered", 90.0, REFERENCE),
    ],
)
def test_each_kind_takes_its_text(kind, minimum, text):
    """The best beam, the beam nearest to the reference, or the best beam where it is near enough."""
    target = choose_target(BEAMS, REFERENCE, SequenceConfig(kind=kind, min_similarity=minimum), "rouge")
    assert target.text == text
    assert target.by_teacher == (text != REFERENCE)


@pytest.mark.parametrize("metric", ["rouge", "bleu"])
def test_targets_are_compared_in_any_alphabet(metric):
    """The beam that is the reference is found, whatever it is written in."""
    settings = SequenceConfig(kind="interpolated")
    assert choose_target(["солнце", "белая луна"], "белая луна", settings, metric).text == "белая луна"
    settings = SequenceConfig(kind="filtered", min_similarity=50.0)
    assert choose_target(["белая луна"], "белая луна", settings, metric).by_teacher
    assert not choose_target(["солнце"], "белая луна", settings, metric).by_teacher


@pytest.mark.parametrize("metric", ["rouge", "bleu"])
@pytest.mark.parametrize("kind", ["pure", "interpolated", "filtered"])
def test_silence_is_never_a_target(kind, metric):
    """A teacher that wrote nothing leaves the reference."""
    target = choose_target([""], REFERENCE, SequenceConfig(kind=kind, min_similarity=0.0), metric)
    assert (target.text, target.by_teacher) == (REFERENCE, False)


def test_examples_keep_everything_but_their_labels(tiny_tokenizer):
    """Sources, references and order stay; labels are cut like those of references."""
    columns = {"input_ids": [[0, 9, 2], [0, 8, 2]], "labels": [[0, 7, 2], [0, 6, 2]], "source_tokens": [3, 3]}
    columns |= {"target_tokens": [3, 3], "target": ["x", "y"]}
    task = TaskConfig(max_target_tokens=4)
    rows = with_targets(Dataset.from_dict(columns), ["a", REFERENCE], tiny_tokenizer, task)
    assert rows["input_ids"][:] == columns["input_ids"] and rows["target"][:] == ["x", "y"]
    assert tiny_tokenizer.decode(rows["labels"][0], skip_special_tokens=True).strip() == "a"
    assert rows["target_tokens"][:] == [len(ids) for ids in rows["labels"]]
    assert len(rows["labels"][1]) == 4 and rows["labels"][1][-1] == tiny_tokenizer.eos_token_id
    assert rows["target_cut"][:] == [len(rows["labels"][0]) > 4, True]
