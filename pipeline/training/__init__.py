"""Engines, optimiser, the training loop, checkpoints."""
