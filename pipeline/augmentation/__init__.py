"""Agora: examples generated near a model's mistakes, labelled by a better one. No files, no runs, no cluster."""
