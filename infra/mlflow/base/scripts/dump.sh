#!/bin/sh
# Write both databases into $BACKUP_FOLDER, while servers go on writing: each dump is one snapshot. The users come second:
# a permission of an experiment that is not there is harmless, an experiment that nobody may change is not.
set -eu
for database in mlflow mlflow_auth; do
  pg_dump --format=custom --no-owner --no-privileges --lock-wait-timeout=60s \
    --file="$BACKUP_FOLDER/$database.dump" --dbname="$database"
  # A dump that cannot be read is none.
  pg_restore --list "$BACKUP_FOLDER/$database.dump" > "$BACKUP_FOLDER/$database.list"
  echo "$database: $(wc -c < "$BACKUP_FOLDER/$database.dump") bytes, $(grep -c ' TABLE DATA ' "$BACKUP_FOLDER/$database.list") tables"
done
