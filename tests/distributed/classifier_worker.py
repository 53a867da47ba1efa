"""Run by test_classifier.py in one or two processes: tiny BERTs learn labels from a teacher, and masked tokens.

usage: python classifier_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import os
import sys
from pathlib import Path

import datasets
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig

from pipeline.config.changes import changed
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.recipe import DECODER_TERMS, DistillationConfig, QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.masking import Masking
from pipeline.distillation.objective import DistillationObjective, TaskObjective, signals_of
from pipeline.evaluation.predict import predict_labels, token_scores
from pipeline.models.families import family_named
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.training import make_engine
from pipeline.tracking.run import NoOpRun
from pipeline.training.allocator import keep_memory
from pipeline.training.collective import gather_objects
from pipeline.training.loop import Learner, LoopSettings, NoHooks, Progress, train_cohort
from pipeline.training.random_stream import RandomStream

CPU, NUM_STEPS, NUM_EXAMPLES = torch.device("cpu"), 6, 13
TRAIN = TrainConfig(batch_tokens=24, micro_batch_tokens=24, dropout=0.0)
MASKING = Masking(mask_id=4, special=frozenset(range(5)), words=tuple(range(5, 61)))


class History(NoHooks):
    """Keeps the losses of every step."""

    def __init__(self, losses):
        self.losses = losses

    def after_step(self, progress, losses):
        self.losses += losses.values()


def teacher_and_examples():
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 32, "initializer_range": 0.2}
    config = BertConfig(**sizes, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config._attn_implementation = "eager"
    teacher = BertForSequenceClassification(config).eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(1)
    sources = [torch.randint(3, 61, (3 + i % 9,), generator=draw).tolist() for i in range(NUM_EXAMPLES)]
    columns = {"input_ids": sources, "labels": [[i % 3] for i in range(NUM_EXAMPLES)]}
    columns |= {"token_type_ids": [[0] * 2 + [1] * (len(ids) - 2) for ids in sources]}
    columns |= {"source_tokens": [len(ids) for ids in sources], "target_tokens": [1] * NUM_EXAMPLES}
    return teacher, datasets.Dataset.from_dict(columns)


def learner(teacher, cluster):
    student = build_student(teacher, [1], [], 0.0).requires_grad_(True).train()
    prepare_student(student, scheme_of("8-8-8", QuantizationConfig()))
    weights = changed(DistillationConfig(), dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")
    return Learner(
        name="classifier",
        engine=make_engine(student, TRAIN, cluster),
        objective=DistillationObjective(weights=weights, encoder_map=[1], decoder_map=[]),
        learning_rate=lambda _: 1e-2,
        listener=NoOpRun(),
        random=RandomStream(7, CPU),
    )


def masked_lm():
    family = family_named("roberta", "masked LM")
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 32, "initializer_range": 0.2}
    config = RobertaConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=0)
    config.architectures, config._attn_implementation = [family.model_class.__name__], "eager"
    return family.model_class(config)


def masked_lm_learner(cluster):
    return Learner(
        name="masked LM",
        engine=make_engine(masked_lm().train(), TRAIN, cluster),
        objective=TaskObjective(),
        learning_rate=lambda _: 1e-2,
        listener=NoOpRun(),
        random=RandomStream(7, CPU),
    )


def losses_of(one, batches, teacher_pass=None):
    losses = []
    train_cohort(
        [one],
        batches,
        LoopSettings(num_steps=NUM_STEPS, log_every_steps=2),
        device=CPU,
        progress=Progress(),
        teacher_pass=teacher_pass,
        hooks=History(losses),
    )
    one.engine.close()
    return losses


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    torch.set_num_threads(1)
    keep_memory()
    store = torch.distributed.FileStore(str(folder / f"store-{world_size}"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    teacher, examples = teacher_and_examples()
    lengths = [(length, 1) for length in examples["source_tokens"]]
    plan = BatchPlan(lengths=lengths, batch_tokens=24, micro_batch_tokens=24, num_ranks=world_size, seed=5)
    batches = TrainingBatches(examples, plan, rank=rank, pad_id=0, decoder_start_id=None)
    texts = examples.remove_columns("labels").add_column("labels", examples["input_ids"][:])
    masked = TrainingBatches(texts, plan, rank=rank, pad_id=0, decoder_start_id=None, noise=MASKING)
    fillers = sum(batch.num_target_tokens == 0 for step in batches.steps(0) for batch in step)
    seen = {"num_fillers": sum(gather_objects(fillers))}
    for name, cluster in {
        "torch": ClusterConfig(engine="torch", precision="fp32"),
        **{f"zero{stage}": ClusterConfig(zero_stage=stage, precision="fp32") for stage in (2, 3)},
    }.items():
        teacher_pass = torch.no_grad()(lambda batch: signals_of(teacher, batch))
        seen[name] = losses_of(learner(teacher, cluster), batches, teacher_pass)
        seen[f"masked {name}"] = losses_of(masked_lm_learner(cluster), masked)
    shares = {"batch_tokens": 24, "rank": rank, "num_ranks": world_size, "gather": gather_objects}
    seen["labels"] = predict_labels(teacher, examples, ["a", "b", "c"], **shares)
    seen["mean_loss"] = token_scores(teacher, examples, **shares).loss
    texts = texts.remove_columns("target_tokens").add_column("target_tokens", [2] * NUM_EXAMPLES)
    seen["masked scores"] = vars(token_scores(masked_lm(), texts, noise=MASKING, **shares))
    few = examples.select([0])  # one rank has nothing to do
    seen["few"] = predict_labels(teacher, few, ["a", "b", "c"], **shares)
    if rank == 0:
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    torch.distributed.barrier()


if __name__ == "__main__":
    main()
