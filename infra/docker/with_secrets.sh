#!/bin/sh
# A command with secrets in its environment, read from files: for programs that take them from there alone.
#
#     with-secrets NAME=FILE... -- COMMAND...
#
# A container's environment is shown by `docker inspect`, a command line by `ps`; a secret that is read here is in neither.
set -eu

refuse() {
    echo "with-secrets: $1. Allowed: with-secrets NAME=FILE... -- COMMAND..., files that can be read and are not empty." \
        "Change: $2" >&2
    exit 2
}

while [ "$#" -gt 0 ] && [ "$1" != "--" ]; do
    name=${1%%=*}
    file=${1#*=}
    case "$1" in
    [A-Z]*=?*) ;;
    *) refuse "'$name' is no NAME=FILE" "write it so, and -- before the command" ;;
    esac
    [ -s "$file" ] && [ -r "$file" ] || refuse "$file, for $name, is empty or cannot be read" "make it, or let uid $(id -u) read it"
    export "$name=$(cat "$file")"
    shift
done
[ "$#" -gt 1 ] || refuse "no command" "write -- and the command"
shift
exec "$@"
