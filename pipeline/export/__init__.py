"""Packed models as folders."""
