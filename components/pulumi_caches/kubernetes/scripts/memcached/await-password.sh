#!/bin/sh
# Ends when every shard accepts the current password, so that whoever gets it from a finished deployment is let in.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

for host in $HOSTS; do
  until reply=$(ask "$host" "$PORT" cache "$credentials/password" version) && [ "${reply#VERSION }" != "$reply" ]; do
    echo "$host: ${reply:-no answer}"
    sleep 1
  done
  echo "$host accepts the password"
done
