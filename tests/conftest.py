"""Tiny models, batches and a tokenizer that the tests share; no network, one thread, no chance."""

import os

from repository import ROOT

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Processes that tests start run the code that lies beside the tests, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

import logging
import random
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration
from two_processes import WholeFiles, longest_first

from pipeline.console.log import LOG_LEVEL, log_to_stderr
from pipeline.data.batch import Batch, collate
from pipeline.data.tokenise import train_tokenizer
from pipeline.training.allocator import keep_memory

keep_memory()
torch.set_num_threads(1)
hypothesis.settings.register_profile("the same everywhere", derandomize=True, deadline=None)
hypothesis.settings.load_profile("the same everywhere")

VOCAB_SIZE, PAD, EOS = 203, 1, 2
SENTENCES = [
    "Return the number of tokens in a batch without padding.",
    "Read a file from disk and raise an error where it is missing.",
    "The teacher never changes while its students are trained.",
    "Scales are stored beside the codes, one for every row of a matrix.",
]


@pytest.fixture(autouse=True)
def console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages on stderr as in a job, and where pytest gathers them."""
    monkeypatch.delenv(LOG_LEVEL, raising=False)
    log_to_stderr()
    logging.getLogger("pipeline").propagate = True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> WholeFiles:
    """Of all processes, whatever `--dist` says."""
    return WholeFiles(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In one process, too: what is slow is known early."""
    longest_first(items)


@pytest.fixture(scope="session")
def make_bart() -> Callable[..., Any]:
    """Builds a random BART with tied embeddings, non-zero biases and no dropout, in evaluation mode."""

    def make(encoder_layers: int = 2, decoder_layers: int = 2, *, seed: int = 0, **options: Any) -> Any:
        settings: dict[str, Any] = {
            "vocab_size": VOCAB_SIZE,
            "d_model": 32,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "max_position_embeddings": 64,
            "init_std": 0.1,
            "dropout": 0.0,
            "bos_token_id": 0,
            "pad_token_id": PAD,
            "eos_token_id": EOS,
            "decoder_start_token_id": EOS,
            "forced_eos_token_id": EOS,
            "attn_implementation": "eager",
        }
        config = BartConfig(encoder_layers=encoder_layers, decoder_layers=decoder_layers, **(settings | options))
        torch.manual_seed(seed)
        model = BartForConditionalGeneration(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
        return model.eval()

    return make


@pytest.fixture
def tiny_teacher(make_bart: Callable[..., Any]) -> Any:
    """A frozen 3-3 BART."""
    return make_bart(3, 3).requires_grad_(False)


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[tuple[list[int], list[int]]]]:
    """Draws ragged (source, labels) rows of token ids that end in the end token."""

    def make(num_rows: int, seed: int = 0) -> list[tuple[list[int], list[int]]]:
        rng = random.Random(seed)

        def ids(longest: int) -> list[int]:
            return [0, *(rng.randrange(5, VOCAB_SIZE) for _ in range(rng.randint(1, longest))), EOS]

        return [(ids(14), ids(9)) for _ in range(num_rows)]

    return make


@pytest.fixture(scope="session")
def batch_of() -> Callable[[list[tuple[list[int], list[int]]]], Batch]:
    """Collates (source, labels) rows as training does."""

    def make(rows: list[tuple[list[int], list[int]]]) -> Batch:
        return collate([source for source, _ in rows], [labels for _, labels in rows], PAD, EOS)

    return make


@pytest.fixture
def tiny_batch(make_rows: Callable[..., Any], batch_of: Callable[..., Batch]) -> Batch:
    """Four ragged rows."""
    return batch_of(make_rows(4))


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer trained on a few sentences."""
    return train_tokenizer(SENTENCES * 4, vocab_size=320)
