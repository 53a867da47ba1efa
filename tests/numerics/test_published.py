"""`recipe=dqbart` is the published method: logits, loss terms and gradients of its description, to 1e-5 in fp32."""

import pytest
import torch
from published import Published, losses

from pipeline.config.load import load_config
from pipeline.distillation.objective import signals_of
from pipeline.distillation.published import PublishedObjective
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import TokenCounts

MAPS = {"encoder": [0, 2], "decoder": [1]}


@pytest.mark.parametrize("as_released", [False, True])
@pytest.mark.parametrize("scheme", ["8-8-8", "2-2-8"])
@pytest.mark.parametrize(("dtype", "precision"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("seed", range(3))
def test_the_recipe_has_the_published_logits_losses_and_gradients(
    make_bart, make_rows, batch_of, scheme, as_released, seed, dtype, precision
):
    """Against a BART written out from the paper's description, with weights outside the clip, too."""
    tiny_batch = batch_of(make_rows(3, seed))
    recipe = load_config("dq_sweep", ["recipe=dqbart", f"recipe.dqbart.as_released={as_released}"]).recipe
    teacher = make_bart(3, 3).to(dtype).eval().requires_grad_(False)
    student = build_student(teacher, MAPS["encoder"], MAPS["decoder"], 0.0).to(dtype).eval().requires_grad_(True)
    with torch.no_grad():  # some weights beyond 2.5
        student.model.shared.weight[5, 3], student.model.encoder.layers[0].fc1.weight[2, 1] = 3.0, -2.7
    plain = {name: tensor.detach().clone() for name, tensor in student.state_dict().items()}
    names = {name: plain[name].requires_grad_() for name, _ in student.named_parameters()}
    prepare_student(student, scheme_of(scheme, recipe.quantisation))
    engine = TorchEngine(student, torch.optim.SGD(student.parameters()), precision="fp32", max_gradient_norm=0.0)
    signals = signals_of(teacher, tiny_batch)
    objective = PublishedObjective(
        weights=recipe.distillation, encoder_map=MAPS["encoder"], decoder_map=MAPS["decoder"], as_released=as_released
    )
    terms = objective(engine, tiny_batch, signals, TokenCounts(num_source=1, num_target=1))
    engine.backward(sum(terms.values()))
    inputs = (tiny_batch.input_ids, tiny_batch.attention_mask, tiny_batch.decoder_input_ids)
    heads = teacher.config.encoder_attention_heads
    mine, theirs = Published(plain, heads, int(scheme[0])), Published(teacher.state_dict(), heads, 32)
    logits, teacher_logits = mine(*inputs), theirs(*inputs)
    expected = losses(mine, logits, theirs, teacher_logits, tiny_batch.labels, MAPS, as_released)
    sum(expected.values()).backward()
    with torch.no_grad():
        assert torch.allclose(signals_of(engine.forward, tiny_batch).logits, logits, rtol=0, atol=precision)
    assert set(terms) == set(expected)
    for name, term in expected.items():
        assert abs(float(terms[name]) - float(term)) <= precision * max(1.0, float(term)), name
    for name, parameter in student.named_parameters():
        assert torch.allclose(parameter.grad, names[name].grad, rtol=precision, atol=precision), name
    outside = student.model.encoder.layers[0].fc1._parameters["weight"].grad[2, 1]
    assert float(outside) == 0.0


def test_micro_batches_are_averaged_as_published(make_bart, tiny_batch, batch_of):
    """Two micro-batches count half each; a filler, whose labels are all padding, counts nothing."""
    recipe = load_config("dq_sweep", ["recipe=dqbart"]).recipe
    teacher = make_bart(2, 2).eval()
    engine = TorchEngine(teacher, torch.optim.SGD(teacher.parameters()), precision="fp32", max_gradient_norm=0.0)
    objective = PublishedObjective(
        weights=recipe.distillation, encoder_map=[0, 1], decoder_map=[0, 1], as_released=False
    )
    counts = [TokenCounts(num_source=1, num_target=1, num_micro_batches=number) for number in (1, 2)]
    one, half = (objective(engine, tiny_batch, signals_of(teacher, tiny_batch), count) for count in counts)
    assert one["task_loss"].item() == 2 * half["task_loss"].item()
    filler = batch_of([([0, 2], [0, 2])])
    filler.labels.fill_(-100)
    assert filler.num_target_tokens == 0
    assert not any(objective(engine, filler, signals_of(teacher, filler), counts[0])[name].any() for name in one)
