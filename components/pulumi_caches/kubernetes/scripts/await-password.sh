#!/bin/sh
# Ends when every server accepts the current password, so that whoever gets it from a finished deployment is let in.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

trust=
[ ! -d "$tls" ] || trust="--tls --cacert $tls/ca.crt"
for address in $ADDRESSES; do
  host=${address%:*}
  port=${address##*:}
  # shellcheck disable=SC2086 # its words
  until reply=$(REDISCLI_AUTH=$(cat "$credentials/password") timeout 4 "$ENGINE-cli" $trust -h "$host" -p "$port" ping 2>&1) && [ "$reply" = PONG ]; do
    echo "$address: ${reply:-no answer}"
    sleep 1
  done
  echo "$address accepts the password"
done
