"""Students as logged and registered models that MLflow keeps and serves."""
