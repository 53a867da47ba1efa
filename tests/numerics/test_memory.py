"""Law 10: memory is flat over many steps."""

import gc

import psutil
import torch

from pipeline.config.sections.recipe import DistillationConfig, QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.distillation.objective import DistillationObjective, signals_of
from pipeline.distillation.recording import modules_named, relations_of
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import TokenCounts
from pipeline.training.optim import adamw


def test_fifty_steps_take_no_more_memory_than_ten(tiny_teacher, tiny_batch):
    """Neither the weight cache nor signals nor recorded outputs pile up: no tensors beyond those of the first steps."""
    student = build_student(tiny_teacher, [0, 1], [1], 0.0).train()
    prepare_student(student, scheme_of("2-2-8", QuantizationConfig()))
    engine = TorchEngine(student, adamw(student.parameters(), TrainConfig()), precision="bf16", max_gradient_norm=1.0)
    weights = DistillationConfig(encoder_relations=1.0, decoder_relations=1.0, contrastive=1.0)
    relations = relations_of(weights, student, tiny_teacher)
    objective = DistillationObjective(weights=weights, encoder_map=[0, 1], decoder_map=[1], relations=relations)
    recorded = modules_named(tiny_teacher, objective.teacher_modules)
    counts = TokenCounts(num_source=tiny_batch.num_source_tokens, num_target=tiny_batch.num_target_tokens)

    def steps(count):
        for _ in range(count):
            with torch.no_grad():
                signals = signals_of(tiny_teacher, tiny_batch, recorded=recorded)
            engine.backward(sum(objective(engine, tiny_batch, signals, counts).values()))
            engine.step(1e-4)
        del signals
        gc.collect()
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects()), psutil.Process().memory_info().rss

    tensors, resident = steps(10)
    more_tensors, more_resident = steps(50)
    assert more_tensors == tensors
    assert more_resident - resident < 16 << 20
