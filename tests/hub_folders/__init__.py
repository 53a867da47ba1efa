"""Model folders that hold what checkpoints of the hub hold, and no more: their keys, tensor names and tokenizer files.

Sizes are tiny and weights random. Nothing is written by transformers, whose folders say more than those on the hub.
"""

from collections.abc import Callable
from pathlib import Path

from hub_folders.bart_like import bart, bart_with_head, mbart, mbart50, pegasus
from hub_folders.bert_like import bert, bert_without_pooler, roberta
from hub_folders.marian import marian, marian_two_vocabularies
from hub_folders.t5_like import flan_t5, mt5, t5, t5_1_1

SUMMARISES: dict[str, Callable[[Path], Path]] = {
    function.__name__: function for function in (t5, flan_t5, t5_1_1, bart, bart_with_head, pegasus)
}
TRANSLATES: dict[str, Callable[[Path], Path]] = {
    function.__name__: function for function in (mt5, mbart, mbart50, marian, marian_two_vocabularies)
}
CLASSIFIES: dict[str, Callable[[Path], Path]] = {
    function.__name__: function for function in (bert, bert_without_pooler, roberta)
}
FOLDERS = {**SUMMARISES, **TRANSLATES, **CLASSIFIES}
