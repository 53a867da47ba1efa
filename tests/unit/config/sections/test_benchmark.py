"""Settings of benchmarks: what is refused before anything is measured."""

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.benchmark import BenchmarkJob
from pipeline.config.load import load_config

KEY, KIND = "benchmark.encoder", "benchmark.kind=encoder"


def refusals(*words):
    with pytest.raises(UserError) as caught:
        load_config(BenchmarkJob, [KIND, *words])
    return [str(error) for error in caught.value.errors]


def test_the_published_shapes_are_the_default():
    """BERT's two and Bort's, which alone is packed."""
    shapes = {shape.name: shape for shape in load_config(BenchmarkJob, [KIND]).benchmark.encoder.shapes}
    numbers = {
        name: (shape.layers, shape.heads, shape.hidden, shape.intermediate, shape.vocabulary)
        for name, shape in shapes.items()
    }
    assert numbers == {
        "bert-base": (12, 12, 768, 3072, 30522),
        "bert-large": (24, 16, 1024, 4096, 30522),
        "bort": (4, 8, 1024, 768, 50265),
    }
    assert {name: shape.schemes for name, shape in shapes.items() if shape.schemes} == {"bort": ["8-8-8", "2-2-8"]}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lengths=[513]", "513 tokens for the shape 'bert-base' of 512 positions. Allowed: at most 512"),
        ("lengths=[0]", "benchmark.encoder.lengths=[0]"),
        ("lengths=[]", "benchmark.encoder.lengths=[]"),
        ("threads=[0]", "benchmark.encoder.threads=[0]. Allowed: at least one, numbers from 1 on"),
        ("batches=[1,-1]", "benchmark.encoder.batches=[1, -1]"),
        ("rounds=0", "benchmark.encoder.rounds=0"),
        ("attentions=[flash]", "benchmark.encoder.attentions names 'flash'. Allowed: sdpa, eager"),
        ("variants=[slow]", "benchmark.encoder.variants names 'slow'"),
        ("references=[bert]", "benchmark.encoder.references names 'bert'. Allowed: bert-base, bert-large, bort"),
        ("shapes=[{heads: 7}]", "shape 'bort': 7 heads in a hidden width of 1024. Allowed: a number of heads"),
        ("shapes=[{family: bart}]", "bart"),
        ("shapes=[{layers: 0}]", "layers"),
        ("shapes=[{schemes: [9-9-9]}]", "9 weight bits"),
        ("shapes=[{name: a/b}]", "the shape 'a/b'"),
        ("shapes=[{name: ..}]", "the shape '..'"),
        ("shapes=[]", "benchmark.encoder.shapes has the names []"),
        ("shapes=[{},{}]", "benchmark.encoder.shapes has the names ['bort', 'bort']"),
    ],
)
def test_what_no_encoder_can_do_is_refused(word, message):
    """With what is allowed."""
    assert any(message in told for told in refusals(f"{KEY}.{word}")), refusals(f"{KEY}.{word}")


def test_a_length_is_refused_for_every_shape_that_is_too_short():
    """All at once; the longest sequence that fits is none."""
    shapes = "shapes=[{name: a, positions: 16}, {name: b, positions: 64}, {name: c, positions: 32}]"
    found = refusals(f"{KEY}.{shapes}", f"{KEY}.references=[]", f"{KEY}.lengths=[8,33]")
    assert [told.partition(" of ")[0] for told in found] == [f"33 tokens for the shape '{name}'" for name in "ac"]
    load_config(BenchmarkJob, [KIND, f"{KEY}.{shapes}", f"{KEY}.references=[]", f"{KEY}.lengths=[16]"])
