"""Which modules share one matrix of token vectors: the users of the embedding, and the output projection.

Most checkpoints have one matrix for all of them. T5 1.1 has an output projection of its own, others have embeddings of
their own for encoder and decoder. The weights decide; the configuration remembers it, so that every student, package
and estimate of a size follows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.models.families import family_of
from pipeline.models.family import TABLES


def stored_tables(model_config: PretrainedConfig, tensors: Mapping[str, Any]) -> dict[str, str]:
    """Which tables are one (`Family.token_tables`) in a checkpoint: equal matrices are one, others are not.

    Args:
        model_config: the configuration.
        tensors: name -> what gives the tensor when it is sliced; a user that is not among them shares as the
            configuration remembers, or as usual.
    """
    usual, found = family_of(model_config).token_tables(model_config), dict[str, Tensor]()
    tables: dict[str, str] = {}
    for user, name in stored_users(model_config, tensors).items():
        matrix = tensors[name][:]
        same = next((first for first, other in found.items() if _equal(matrix, other)), user)
        if same == user:
            found[user] = matrix
        tables[user] = same
    groups = {usual[user]: tables[user] for user in reversed(tables)}  # of every group its first stored user
    tables |= {user: groups.get(usual[user], usual[user]) for user in usual if user not in tables}
    return _by_first(tables, usual)


def unclear_user(model_config: PretrainedConfig, stored: Collection[str], tables: Mapping[str, str]) -> str | None:
    """A user that is not stored, where those that it usually shares with are stored and differ; none if all is clear.

    The first of those that share counts as what the others mean, where it is stored; alone it is read by nobody.

    Args:
        model_config: the configuration.
        stored: users whose weight is stored.
        tables: `stored_tables`.
    """
    usual = family_of(model_config).token_tables(model_config)
    for user, first in usual.items():
        if user in stored or user == first or first in stored:
            continue
        if len({tables[other] for other in stored if usual[other] == first}) > 1:
            return user
    return None


def stored_users(model_config: PretrainedConfig, tensors: Mapping[str, Any]) -> dict[str, str]:
    """Users of token matrices whose weight is stored -> its name there; base models are saved without their prefix."""
    family = family_of(model_config)
    prefix = f"{family.model_class.base_model_prefix}."
    names = {
        user: (f"{user}.weight", f"{user}.weight".removeprefix(prefix)) for user in family.usual_tables(model_config)
    }
    return {user: known for user, both in names.items() for known in both if known in tensors}


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _by_first(tables: Mapping[str, str], order: Iterable[str]) -> dict[str, str]:
    """The same groups, named by their first users."""
    first: dict[str, str] = {}
    return {user: first.setdefault(tables[user], user) for user in order}


def remember_tables(model_config: PretrainedConfig, tables: dict[str, str]) -> None:
    """Write into a configuration which matrices are one."""
    usual = tables == family_of(model_config).usual_tables(model_config)
    setattr(model_config, TABLES, None if usual else tables)
    model_config.tie_word_embeddings = True  # else transformers ties nothing, encoder and decoder included


def share_tables(model: PreTrainedModel, loaded: Iterable[str] = ()) -> None:
    """Make the parameters of a model those that its configuration says, in place.

    Args:
        model: a plain model.
        loaded: users whose weight has been read; where there is none in a group, its first user's weight counts.
    """
    tables, users = family_of(model.config).token_tables(model.config), set(loaded)
    seen: set[int] = set()
    for first in dict.fromkeys(tables.values()):
        group = [user for user, owner in tables.items() if owner == first]
        leader = next((user for user in group if user in users), first)
        weight: Any = model.get_submodule(leader).weight
        if id(weight) in seen:
            weight = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
        seen.add(id(weight))
        for user in group:
            model.get_submodule(user).weight = weight
