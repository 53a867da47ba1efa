"""Models run by several runtimes, each behind the same two questions: how fast, and which logits."""
