"""The ways to rewrite texts that settings name, with the models that some of them ask; ranks share what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pipeline.augmentation.generators.back_translation import BackTranslation
from pipeline.augmentation.generators.masked_lm_fill import MaskedLMFill
from pipeline.augmentation.generators.mixing import Mixing
from pipeline.augmentation.generators.rewriter import Rewriter
from pipeline.augmentation.generators.span_refill import SpanRefill
from pipeline.augmentation.generators.word_dropout import WordDropout
from pipeline.augmentation.generators.word_swap import WordSwap
from pipeline.config.errors import UserError
from pipeline.config.objectives import ModelKind
from pipeline.config.sections.agora import AgoraConfig
from pipeline.config.sections.model import ModelConfig
from pipeline.data.tokenise import load_tokenizer
from pipeline.export.answer import Answerer
from pipeline.export.package import load_package
from pipeline.models.families import family_of
from pipeline.models.load import check_checkpoint, load_pretrained, read_model_config
from pipeline.training.collective import in_shares

MASKED_LM: ModelKind = "masked LM"


def rewriter(name: str, agora: AgoraConfig, device: torch.device) -> Rewriter:
    """A way to rewrite.

    Args:
        name: as `agora.generators` has it.
        agora: how much it rewrites, and where its models lie.
        device: where these run.
    """
    makers: dict[str, Callable[[], Rewriter]] = {
        "word_dropout": lambda: WordDropout(fraction=agora.rate),
        "word_swap": lambda: WordSwap(fraction=agora.rate),
        "mixing": Mixing,
        "span_refill": lambda: SpanRefill(fill=_SharedFill(agora.refill_model, device), fraction=agora.rate),
        "back_translation": lambda: BackTranslation(
            there=_translation(agora.there, device), back=_translation(agora.back, device)
        ),
    }
    return makers[name]()


def check_packages(agora: AgoraConfig) -> None:
    """Refuse translations by what is no package, before anything is trained.

    Raises:
        UserError: no package, or a damaged one.
    """
    for folder in filter(None, (agora.there, agora.back)):
        load_package(Path(folder))


def check_masked_lm(name: str) -> None:
    """Refuse a model that cannot say what was masked, before anything is trained.

    Args:
        name: folder or hub name.

    Raises:
        UserError: nothing readable there, no head of a masked LM, or a tokenizer without a mask token.
    """
    model = ModelConfig(pretrained=name)
    tokenizer = load_tokenizer(model)
    account = check_checkpoint(model, tokenizer, MASKED_LM)
    if account.drawn:
        raise UserError(
            f"agora.refill_model={name} has no head of a masked LM ({account.drawn[0]})",
            "a masked LM, as jobs/bort_pretrain.py or jobs/finetune_teacher.py task.objective=masked_lm leaves it",
            "set agora.refill_model, or leave span_refill out of agora.generators",
        )
    if getattr(tokenizer, "mask_token", None) is None:
        raise UserError(
            f"agora.refill_model={name}, whose tokenizer has no mask token", "one that has", "set agora.refill_model"
        )


class _SharedFill:
    """See `span_refill.Fill`; every rank fills its share."""

    def __init__(self, name: str, device: torch.device) -> None:
        model = ModelConfig(pretrained=name)
        tokenizer = load_tokenizer(model)
        assert tokenizer is not None, "a folder or a name"
        config = read_model_config(model, tokenizer, kind=MASKED_LM)
        loaded = load_pretrained(model, len(tokenizer), model_config=config).requires_grad_(False).eval().to(device)
        self._fill = MaskedLMFill(loaded, tokenizer, max_tokens=family_of(config).num_positions(config) or 512)

    @property
    def mask(self) -> str:
        """See `span_refill.Fill`."""
        return self._fill.mask

    def __call__(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """See `span_refill.Fill`."""
        pairs = list(zip(texts, seeds, strict=True))
        return in_shares(pairs, lambda share: self._fill(*zip(*share, strict=True)))


def _translation(folder: str, device: torch.device) -> Callable[[Sequence[str]], list[str]]:
    """What the student of a package says of texts; every rank asks it about its share."""
    answerer = Answerer(Path(folder), device=device)
    return lambda texts: in_shares(texts, answerer.answers)
