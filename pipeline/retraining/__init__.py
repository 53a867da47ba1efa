"""Nightly retraining: what data, evidence and decisions must fulfil; knows no files, runs or clusters."""
