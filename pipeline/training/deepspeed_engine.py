"""DeepSpeed ZeRO 0-3 behind the engine protocol; several engines live in one process. The door to deepspeed.

DeepSpeed averages gradients over micro-batches and ranks; we want sums, because losses are divided by global counts.
That is undone in one place, `backward`. Everything else here exists because DeepSpeed was written for one engine a
process.
"""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.config.errors import NonFiniteError
from pipeline.quantization.fake_quantize import drop_weight_cache, set_weight_caching
from pipeline.training.collective import sum_over_ranks, world_size
from pipeline.training.layout import engine_name
from pipeline.training.replicated_state import load_replicated_state, replicated_state
from pipeline.training.sharded_state import ShardedState
from pipeline.training.tensor_states import SavedStates, TensorState
from pipeline.training.whole import Named, copy_tensors, distinct_tensors, state_on_first_rank

# DeepSpeed 0.19.8 calls collectives by names that torch 2.13 deprecates.
warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")

BUCKET_ELEMENTS = 5_000_000  # DeepSpeed's default of 5e8 allocates 2 GB per engine


class DeepSpeedEngine:
    """One model and its optimiser under ZeRO; parameters and optimiser state stay fp32, matmuls run in bf16.

    Args:
        module: the model on its device.
        optimiser: a torch optimiser over its parameters.
        zero_stage: 0 replicates, 1 shards optimiser state, 2 gradients too, 3 parameters too.
        precision: bf16 or fp32 matmuls.
        max_gradient_norm: clipping; 0 is off.
    """

    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        zero_stage: int,
        precision: str,
        max_gradient_norm: float,
    ) -> None:
        self.name, self.stage, self.module = engine_name(zero_stage), zero_stage, module
        self.device = next(module.parameters()).device
        self.deepspeed = _import_deepspeed(self.device)
        set_weight_caching(module, zero_stage < 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.engine, self.optimiser, _, _ = self.deepspeed.initialize(
                model=module,
                optimizer=optimiser,
                config=_settings(zero_stage, precision, max_gradient_norm),
                dist_init_required=False if self.deepspeed.comm.is_initialized() else None,
            )

    def start_micro_batch(self, last: bool) -> None:
        """See `Engine.start_micro_batch`."""
        self.engine.set_gradient_accumulation_boundary(last)

    def forward(self, **inputs: Any) -> Any:
        """See `Engine.forward`."""
        return self.engine(**inputs)

    def backward(self, loss: Tensor) -> None:
        """See `Engine.backward`: here, and only here, DeepSpeed's averaging is undone."""
        self.engine.backward(loss * world_size(), scale_wrt_gas=False)

    def step(self, learning_rate: float) -> float:
        """See `Engine.step`."""
        norm = self._gradient_norm()
        if not norm < float("inf"):
            self.discard()
            raise NonFiniteError(f"gradient norm is {norm}")
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        self.engine.step()
        drop_weight_cache(self.module)
        return norm

    def discard(self) -> None:
        """See `Engine.discard`: what DeepSpeed does on an fp16 overflow, stage by stage."""
        optimiser = self.optimiser
        if self.stage == 0:
            self.engine.zero_grad()
            return
        optimiser.zero_grad(set_to_none=True)
        if self.stage == 3:
            optimiser._pre_step()
            optimiser._partition_all_parameters()
            optimiser.averaged_gradients = {}
            return
        optimiser.micro_step_id = -1
        optimiser._release_preflattened_grad_buffers()
        for gradients in (optimiser.averaged_gradients, optimiser.all_grad_tensors):
            for key in gradients:
                gradients[key] = None

    def whole_state(self) -> dict[str, Tensor]:
        """See `Engine.whole_state`."""
        return state_on_first_rank(self._whole_tensors())

    def copy_to(self, replica: nn.Module | None) -> None:
        """See `Engine.copy_to`."""
        copy_tensors(self._whole_tensors(), replica)

    def states(self) -> Iterator[tuple[str, TensorState]]:
        """See `Engine.states`."""
        if self.stage == 0:
            return replicated_state(self.module, self.optimiser, self.device)
        return self._sharded().states()

    def load(self, saved: SavedStates) -> None:
        """See `Engine.load`."""
        if self.stage == 0:
            load_replicated_state(self.module, self.optimiser, self.device, saved)
        else:
            self._sharded().load(saved)
        drop_weight_cache(self.module)

    def close(self) -> None:
        """See `Engine.close`; DeepSpeed 0.19.8 keeps references to a model under ZeRO-3, so they are cut by hand."""
        modules, parameters = set(map(id, self.module.modules())), list(self.module.parameters())
        self.engine.destroy()
        if self.stage == 3:
            from deepspeed.runtime.zero import parameter_offload

            stack = parameter_offload.FWD_MODULE_STACK
            stack[:] = [module for module in stack if id(module) not in modules]
        base = getattr(self.optimiser, "optimizer", self.optimiser)
        base.state.clear()
        for parameter in parameters:
            parameter.grad = None
            if hasattr(parameter, "ds_tensor"):
                parameter.ds_tensor = None
        if self.optimiser is not base:
            self.optimiser.__dict__.clear()
        self.engine.optimizer = self.engine.basic_optimizer = self.engine.client_optimizer = None
        self.engine = self.optimiser = None
        gc.collect()

    def _sharded(self) -> ShardedState:
        return ShardedState(self.module, self.optimiser, self.stage, self.device)

    def _whole_tensors(self) -> Iterator[Named]:
        """One after the other, so that a rank never holds more than one that ZeRO-3 has taken apart."""
        for names, tensor in distinct_tensors(self.module):
            sharded = self.stage == 3 and isinstance(tensor, nn.Parameter)
            with self.deepspeed.zero.GatheredParameters([tensor], modifier_rank=None, enabled=sharded):
                yield names, tensor

    @torch.no_grad()
    def _gradient_norm(self) -> float:
        """Norm of the summed, unclipped gradient, the same on every rank."""
        if self.stage == 0:
            gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        else:
            averaged = self.optimiser.averaged_gradients.values()
            gradients = [g for group in averaged if group is not None for g in group if g is not None]
        squares = torch.zeros((), dtype=torch.float64, device=self.device)
        for gradient in gradients:
            squares += gradient.double().square().sum()
        if self.stage:
            sum_over_ranks(squares)
        return float(squares.sqrt())


def _import_deepspeed(device: torch.device) -> Any:
    """Import deepspeed quietly, inside a process group, without compiling anything."""
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    if not dist.is_initialized():  # one process alone
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=0, world_size=1)
    for name, value in (("RANK", dist.get_rank()), ("WORLD_SIZE", dist.get_world_size()), ("LOCAL_RANK", 0)):
        os.environ.setdefault(name, str(value))
    import deepspeed

    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.ERROR)
    for handler in logger.handlers:
        handler.setLevel(logging.ERROR)
    # An inference-only C++ op that would be compiled for half a minute at first use.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def _settings(stage: int, precision: str, max_gradient_norm: float) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": stage}
    if stage:
        zero |= {"overlap_comm": False, "contiguous_gradients": True}
        zero |= {"reduce_bucket_size": BUCKET_ELEMENTS, "allgather_bucket_size": BUCKET_ELEMENTS}
    if stage == 3:
        zero |= {"stage3_prefetch_bucket_size": BUCKET_ELEMENTS, "stage3_param_persistence_threshold": 0}
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,  # bookkeeping only; the loop sets the accumulation boundary
        "gradient_accumulation_steps": 1,
        "gradient_clipping": max_gradient_norm,
        "steps_per_print": None,
        "zero_allow_untested_optimizer": True,
        "communication_data_type": "fp32",
        "zero_optimization": zero,
    }
    if precision == "bf16":
        # The empty list keeps gradient reduction in fp32; by default linear layers would be reduced in bf16.
        settings["torch_autocast"] = {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return settings
