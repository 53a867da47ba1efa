"""Packages as graphs that run without torch."""
