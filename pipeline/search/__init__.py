"""Optimal sub-architecture extraction: which architecture to train. Knows numbers alone: no model, no cluster."""
