-- Run once, by the image of PostgreSQL, when its volume is empty. MLflow's role owns its two databases and may do nothing
-- else: runs and registered models in one, users and permissions in the other, which is as its login wants it.
\set ON_ERROR_STOP on
\set password `cat /run/secrets/mlflow_database_password`
CREATE ROLE mlflow LOGIN PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
REVOKE CONNECT ON DATABASE mlflow, mlflow_auth, postgres FROM PUBLIC;
