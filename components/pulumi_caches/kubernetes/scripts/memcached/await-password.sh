#!/bin/sh
# Ends when every shard accepts the current password, so that whoever gets it from a finished deployment is let in.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# With TLS nothing here can ask: the image has no client that speaks it. All that is left is to wait as long as it can take.
if [ -n "${UNSEEN_SECONDS:-}" ]; then
  echo "waiting $UNSEEN_SECONDS s, until every shard must have the password"
  exec sleep "$UNSEEN_SECONDS"
fi
for host in $HOSTS; do
  until reply=$(ask "$host" "$PORT" cache "$credentials/password" version) && [ "${reply#VERSION }" != "$reply" ]; do
    echo "$host: ${reply:-no answer}"
    sleep 1
  done
  echo "$host accepts the password"
done
