"""Ways to rewrite texts that ask models, as the settings of Agora name them."""

import pytest
import torch
from hub_folders.bert_like import bert
from safetensors.torch import load_file, save_file

from pipeline.augmentation.examples import TextExample
from pipeline.augmentation.generators.text_generator import TextGenerator
from pipeline.config.errors import UserError
from pipeline.config.sections.agora import AgoraConfig
from pipeline.stages.agora.rewriters import check_masked_lm, check_packages, rewriter

POINTS = [TextExample(source="the red river is green", target="a"), TextExample(source="a small bird sits", target="b")]


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory):
    """The folder of a random masked LM."""
    return bert(tmp_path_factory.mktemp("model") / "folder")


def test_a_masked_lm_of_a_folder_refills_spans(masked_lm):
    """The same texts come out again, and none is its parent."""
    agora = AgoraConfig(generators=["span_refill"], refill_model=str(masked_lm), rate=0.4)
    check_masked_lm(agora.refill_model)
    made = [
        TextGenerator([rewriter("span_refill", agora, torch.device("cpu"))], num_per_point=2, seed=1)(1, POINTS)
        for _ in range(2)
    ]
    assert made[0] == made[1] != ()
    assert not {one.id for one in made[0]} & {point.id for point in POINTS}


def test_a_model_without_a_head_is_refused(masked_lm, tmp_path):
    """It would put words drawn at random in the places of masks."""
    for path in masked_lm.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("cls.")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="has no head of a masked LM"):
        check_masked_lm(str(tmp_path))


def test_what_translates_must_be_a_package(masked_lm):
    """A folder of something else is refused before anything is trained."""
    with pytest.raises(UserError):
        check_packages(AgoraConfig(generators=["back_translation"], there=str(masked_lm), back=str(masked_lm)))
