#!/bin/sh
# Replace what is in both databases by the dumps in $BACKUP_FOLDER, each in one transaction: all of it, or as it was.
set -eu
for database in mlflow mlflow_auth; do
  others=$(psql --no-psqlrc --dbname="$database" --no-align --tuples-only --command="
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
  if [ "$others" != 0 ]; then
    echo "restore: $others connections to the database $database. Allowed: none. Change: stop the servers first," \
      "kubectl -n mlflow scale deployment/mlflow --replicas=0" >&2
    exit 2
  fi
  pg_restore --no-owner --no-privileges --file="$BACKUP_FOLDER/$database.sql" "$BACKUP_FOLDER/$database.dump"
done
# The schema goes as a whole: tables that a later MLflow has made would stay in the way of its next migration. It is made
# as initdb makes it, so that the next dump does not contain it.
cat > "$BACKUP_FOLDER/empty.sql" <<'SQL'
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
SQL
for database in mlflow mlflow_auth; do
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction --dbname="$database" \
    --file="$BACKUP_FOLDER/empty.sql" --file="$BACKUP_FOLDER/$database.sql" > "$BACKUP_FOLDER/$database.log"
  echo "$database: restored"
done
