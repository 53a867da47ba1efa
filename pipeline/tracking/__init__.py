"""What people see: progress on the console, runs in MLflow, tables and plots. The door to mlflow."""
