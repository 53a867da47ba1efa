"""Quantisers, fake-quantised and packed layers. Knows torch only."""
