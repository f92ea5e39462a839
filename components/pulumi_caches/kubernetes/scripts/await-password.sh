#!/bin/sh
# Ends when every server accepts the current password, so that whoever gets it from a finished deployment is let in.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

for address in $ADDRESSES; do
  host=${address%:*}
  port=${address##*:}
  until reply=$(REDISCLI_AUTH=$(cat "$credentials/password") timeout 4 "$ENGINE-cli" -h "$host" -p "$port" ping 2>&1) && [ "$reply" = PONG ]; do
    echo "$address: ${reply:-no answer}"
    sleep 1
  done
  echo "$address accepts the password"
done
