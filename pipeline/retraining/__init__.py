"""Nightly retraining: which data are trusted, is the candidate promoted; knows no files, runs or clusters."""
