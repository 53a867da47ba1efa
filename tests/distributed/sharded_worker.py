"""Run by test_sharded.py in one or two processes: a tiny quantized T5 under every engine, put together again.

usage: python sharded_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.models.student import build_student, prepare_student
from pipeline.quantization import fake_quantize
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.training import make_engine
from pipeline.training.collective import gather_objects

NUM_LAYERS = 2


def student_of_t5():
    torch.manual_seed(0)
    config = T5Config(vocab_size=61, d_model=16, d_kv=8, d_ff=32, num_layers=NUM_LAYERS, num_heads=2, dropout_rate=0.0)
    config.update({"decoder_start_token_id": 0, "_attn_implementation": "eager"})
    layers = list(range(NUM_LAYERS))
    student = build_student(T5ForConditionalGeneration(config), layers, layers, 0.0).requires_grad_(True).train()
    prepare_student(student, scheme_of("8-8-8", QuantizationConfig()))
    return student


def whole(engine, expected, rank):
    """What a state is on this rank, and what a replica gets."""
    state, replica = engine.whole_state(), student_of_t5().to(next(engine.module.parameters()).device)
    with torch.no_grad():
        for parameter in replica.parameters():
            parameter.fill_(7.0)
    engine.copy_to(replica)
    copied = replica.state_dict()
    engine.copy_to(None if rank == 0 else replica)  # one rank may have none
    storages = {tensor.data_ptr() for tensor in state.values()}
    return {
        "num_names": len(state),
        "num_storages": len(storages),
        "same": all(torch.equal(expected[name], tensor) for name, tensor in state.items()),
        "copied": all(torch.equal(expected[name], copied[name].cpu()) for name in expected),
    }


def quantized_in_one_pass(engine):
    """Shape of a weight -> how often one of that shape is quantized in a forward pass."""
    counts, real, weights = Counter(), fake_quantize.round_trip, {61, 16, 32}

    def counting(x, *rest):
        if x.dim() == 2 and set(x.shape) <= weights:  # activations have three dimensions here
            counts[str(tuple(x.shape))] += 1
        return real(x, *rest)

    fake_quantize.round_trip = counting
    try:
        ids = torch.full((2, 5), 7, device=next(engine.module.parameters()).device)
        engine.forward(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=ids[:, :3])
    finally:
        fake_quantize.round_trip = real
    return counts


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / f"store-{world_size}"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    seen = {}
    engines = {"torch": ClusterConfig(engine="torch", precision="fp32")}
    engines |= {f"zero{stage}": ClusterConfig(zero_stage=stage, precision="fp32") for stage in (0, 2, 3)}
    for name, cluster in engines.items():
        student = student_of_t5()
        expected = {key: tensor.clone() for key, tensor in student.state_dict().items()}
        engine = make_engine(student, TrainConfig(), cluster)
        seen[name] = {"ranks": gather_objects(whole(engine, expected, rank))}
        seen[name]["num_distinct"] = len({id(tensor) for tensor in student_of_t5().state_dict(keep_vars=True).values()})
        seen[name]["num_all"] = len(expected)
        seen[name]["quantized"] = quantized_in_one_pass(engine)
        engine.close()
    if rank == 0:
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    gather_objects(None)


if __name__ == "__main__":
    main()
