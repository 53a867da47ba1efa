"""YAML as people write settings: a few levels of sections, lists and words, without tags that turn them into others."""

from __future__ import annotations

from typing import Any

import yaml

MOST_LEVELS = 20  # of sections and lists inside each other: libraries read them by recursion
MOST_VALUES = 10_000  # omegaconf takes no more
LONGEST_TEXT = 1 << 20  # characters of a file
TEXT = "tag:yaml.org,2002:str"


def composed(text: str) -> yaml.Node | None:
    """The nodes of a text; none of one that holds nothing.

    Raises:
        YAMLError: unreadable YAML, too much of it, or a tag.
    """
    if len(text) > LONGEST_TEXT:
        raise yaml.YAMLError(f"{len(text):,} characters, which are more than {LONGEST_TEXT:,}")
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Stops at what is no setting before it costs time, or the library fails at it with an error of another kind."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.num_values = 0
        self.heights: dict[int, int] = {}  # node -> levels inside it, of those that are complete
        self.inside: list[int] = []  # of every node that is being read, the levels that it has so far

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node with all that is in it, or one that was named before."""
        tag = getattr(self.peek_event(), "tag", None)  # type: ignore[no-untyped-call]
        if tag not in (None, "!", TEXT):
            raise yaml.YAMLError(f"the tag '{tag}': values stand without one")
        is_alias = self.check_event(yaml.AliasEvent)
        self.num_values += 1
        self.inside.append(0)
        self._check(levels=len(self.inside))
        node = super().compose_node(parent, index)
        height = self.inside.pop()
        if is_alias:
            if id(node) not in self.heights:
                raise yaml.YAMLError("it holds itself")
            height = self.heights[id(node)]
            self._check(levels=len(self.inside) + height)
        self.heights[id(node)] = height
        if self.inside:
            self.inside[-1] = max(self.inside[-1], height + 1)
        return node

    def _check(self, levels: int) -> None:
        if levels > MOST_LEVELS:
            raise yaml.YAMLError(f"more than {MOST_LEVELS} levels of sections and lists")
        if self.num_values > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values")
