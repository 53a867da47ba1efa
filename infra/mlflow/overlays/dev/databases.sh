# Run once, by the image's entrypoint, on an empty volume: the role of MLflow and its two databases, which it owns.
# Names and password are read by psql itself: on its command line others could see them.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
\getenv role MLFLOW_USER
\getenv password MLFLOW_PASSWORD
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE mlflow OWNER :"role";
CREATE DATABASE mlflow_auth OWNER :"role";
REVOKE CONNECT, TEMPORARY ON DATABASE mlflow, mlflow_auth FROM PUBLIC;
SQL
