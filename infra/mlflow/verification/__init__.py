"""What `infra/mlflow/verify.py` starts, disturbs and compares."""
