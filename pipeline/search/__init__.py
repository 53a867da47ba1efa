"""Optimal sub-architecture extraction: which architecture and bits to train. Numbers alone: no model, no cluster."""
