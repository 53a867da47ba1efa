"""Runs in MLflow: found by key, written through a buffer on disk. The door to mlflow."""
