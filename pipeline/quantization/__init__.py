"""Quantizers, fake-quantized and packed layers. Knows torch only."""
