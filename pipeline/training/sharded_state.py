"""The state of a model under ZeRO 1-3, gathered tensor by tensor and taken over without a whole copy.

DeepSpeed's own `safe_get_full_*` and `safe_set_full_*` (0.19.8) are not used: under ZeRO 3 they fail where a parameter
cannot be divided by the number of ranks, before the first step there is no state that they could set, and steps are
none of theirs. All three stages keep flat partitions, in which a rank has a fragment of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.collective import rank, sum_over_ranks
from pipeline.training.tensor_states import Form, OptimiserForm, SavedStates, TensorState, optimiser_form
from pipeline.training.whole import distinct_tensors


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """The elements of a parameter that this rank keeps: none, or neighbours.

    Args:
        flat: the partition that they are in; moments lie in tensors of its shape.
        offset: of the first one in the partition.
        start: of the first one in the parameter.
        num: how many.
    """

    flat: Tensor
    offset: int
    start: int
    num: int

    def in_partition(self, partition: Tensor) -> Tensor:
        """These elements of the partition, or of a moment."""
        return partition.detach().narrow(0, self.offset, self.num)

    def in_whole(self, whole: Tensor) -> Tensor:
        """These elements of the parameter, or of a moment."""
        return whole.detach().reshape(-1).narrow(0, self.start, self.num)


class ShardedState:
    """Gives the state of one engine, and takes one over.

    Args:
        module: the model.
        optimiser: DeepSpeed's around it.
        zero_stage: 1, 2 or 3.
        device: of this rank.
    """

    def __init__(self, module: nn.Module, optimiser: Any, zero_stage: int, device: torch.device) -> None:
        self.module, self.zero, self.stage, self.device = module, optimiser, zero_stage, device
        self.base: torch.optim.Optimizer = optimiser.optimizer
        self.form: OptimiserForm = optimiser_form(self.base, device)
        self.fragments = _fragments_3(optimiser) if zero_stage == 3 else _fragments_1_2(optimiser)

    def states(self) -> Iterator[tuple[str, TensorState]]:
        """Every tensor by its first name; every rank calls it, and holds one at a time unless the caller keeps more."""
        for names, tensor in distinct_tensors(self.module):
            value, fragment = self._value(tensor), self.fragments.get(id(tensor))
            moments, numbers = self.form.kept({} if fragment is None else self.base.state.get(fragment.flat, {}))
            if fragment is not None:
                moments = {
                    name: _gathered(fragment, fragment.in_partition(moment), value.shape)
                    for name, moment in moments.items()
                }
            yield names[0], TensorState(value=value, moments=moments, numbers=numbers)

    @torch.no_grad()
    def load(self, saved: SavedStates) -> None:
        """Take a state over; each rank reads what it keeps of it.

        Raises:
            DamagedFileError: it is that of another model or optimiser; nothing has changed.
        """
        tensors = {names[0]: tensor for names, tensor in distinct_tensors(self.module)}
        states = saved.checked({name: self._form(tensor) for name, tensor in tensors.items()}, self.form)
        if self.stage == 3:
            self.zero._partition_all_parameters()  # what is whole for a moment would hide what is loaded
        for name, state in states.items():
            self._set_value(tensors[name], state.value)
            if (fragment := self.fragments.get(id(tensors[name]))) is not None:
                self._set_moments(fragment, state)

    def _form(self, tensor: Tensor) -> Form:
        shape = tensor.ds_shape if _is_sharded(tensor) else tensor.shape  # type: ignore[attr-defined]
        return Form(shape=shape, dtype=tensor.dtype, is_trained=id(tensor) in self.fragments)

    def _value(self, tensor: Tensor) -> Tensor:
        if not _is_sharded(tensor):
            return tensor.detach()
        fragment = _own_shard(tensor)
        return _gathered(fragment, fragment.in_partition(fragment.flat), tensor.ds_shape)  # type: ignore[attr-defined]

    def _set_value(self, tensor: Tensor, value: Tensor) -> None:
        shard = _own_shard(tensor) if _is_sharded(tensor) else None
        if shard is None:
            tensor.copy_(value)
        else:
            shard.in_partition(shard.flat).copy_(shard.in_whole(value))
        if (master := self.fragments.get(id(tensor))) is not None:
            master.in_partition(master.flat).copy_(master.in_whole(value))

    def _set_moments(self, fragment: Fragment, state: TensorState) -> None:
        if not state.has_stepped:
            self.base.state.pop(fragment.flat, None)
            return
        kept = self.base.state[fragment.flat]
        for name, number in state.numbers.items():
            kept[name] = self.form.number(name, number)
        for name, moment in state.moments.items():
            if name not in kept:
                kept[name] = torch.zeros_like(fragment.flat, requires_grad=False)
            fragment.in_partition(kept[name]).copy_(fragment.in_whole(moment))


def _fragments_1_2(optimiser: Any) -> dict[int, Fragment]:
    """id of a trained parameter -> what this rank keeps of it."""
    found = {}
    for parameters, flat in zip(optimiser.bit16_groups, optimiser.single_partition_of_fp32_groups, strict=True):
        for parameter in parameters:
            if (mapping := parameter._hp_mapping) is None:
                found[id(parameter)] = Fragment(flat=flat, offset=0, start=0, num=0)
                continue
            there, here = mapping.lp_fragment_address, mapping.hp_fragment_address
            found[id(parameter)] = Fragment(flat=flat, offset=here.start, start=there.start, num=there.numel)
    return found


def _fragments_3(optimiser: Any) -> dict[int, Fragment]:
    """As `_fragments_1_2`."""
    found = {}
    for parameters in optimiser.fp16_groups:
        for parameter in parameters:
            group, offset, _ = optimiser.grad_position[optimiser.get_param_id(parameter)]
            shard = _own_shard(parameter)
            flat = optimiser.fp32_partitioned_groups_flat[group]
            found[id(parameter)] = Fragment(flat=flat, offset=offset, start=shard.start, num=shard.num)
    return found


def _is_sharded(tensor: Tensor) -> bool:
    return hasattr(tensor, "ds_tensor")


def _own_shard(parameter: Any) -> Fragment:
    """What this rank keeps of a parameter, trained or not, under ZeRO 3; the last shards are padded."""
    shard, num = parameter.ds_tensor, parameter.ds_numel
    start = min(rank() * shard.ds_numel, num)
    return Fragment(flat=shard, offset=0, start=start, num=min(shard.ds_numel, num - start))


def _gathered(fragment: Fragment, mine: Tensor, shape: torch.Size) -> Tensor:
    """All ranks' fragments as one new tensor, bit for bit: whole numbers are added, to zeros."""
    assert mine.dtype == torch.float32, "parameters and moments in training are fp32"
    whole = torch.zeros(shape, dtype=mine.dtype, device=mine.device)
    fragment.in_whole(whole).copy_(mine)
    sum_over_ranks(whole.view(-1).view(torch.int32))
    return whole
