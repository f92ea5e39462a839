#!/bin/sh
# Starts the sentinel. What it has learnt is kept in the volume (epochs and votes, so that it never votes twice; the master and
# the others); all else is written anew.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
umask 077

conf=$data/sentinel.conf
number='[0-9]+'

# Lines that a sentinel wrote. Anything else in the file, such as half a line, is dropped.
learnt() {
  grep -E "^sentinel $1\$" "$conf" 2>/dev/null || true
}

# Whom the sentinel at an address names, as "EPOCH ADDRESS"; nothing when it does not answer.
named_by() {
  said=$(CLI_SECONDS=1 cli -h "$1" sentinel master "$GROUP" 2>/dev/null) || return 0
  # Lines are names and values in turn.
  for name in config-epoch ip; do
    printf '%s\n' "$said" | grep -x -A 1 "$name" | tail -n 1
  done | paste -s -d ' ' -
}

is_member() {
  for address in $addresses; do
    [ "$1" != "$address" ] || return 0
  done
  return 1
}

addresses=
for ordinal in $(seq 0 $((MEMBERS - 1))); do
  addresses="$addresses $(member_address "$GROUP-$ordinal")"
done
# Whoever it knew as master, or until the group has agreed on one the first member. Addresses change when a group is
# destroyed and made again with the volumes it had.
master=$(learnt "monitor $GROUP [^ ]+ $number $number" | cut -d ' ' -f 4)
is_member "$master" || master=$(echo "$addresses" | cut -d ' ' -f 2)
epoch=$(learnt "config-epoch $GROUP $number" | cut -d ' ' -f 4)
# The others may have another master by now. They would tell, but only in a second or two, and clients ask meanwhile.
own=$(member_address "$POD")
newest=$(
  for address in $addresses; do
    [ "$address" = "$own" ] || named_by "$address" &
  done | sort -n | tail -n 1
)
if [ -n "$newest" ] && [ "${newest%% *}" -gt "${epoch:-0}" ] && is_member "${newest#* }"; then
  master=${newest#* } epoch=${newest%% *}
fi
# What clients need: where the master is, and news of it. Publishing would let them name another one.
client_rights="~* &* -@all +@connection +subscribe +psubscribe +unsubscribe +punsubscribe +info +role +command \
+sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters +sentinel|replicas +sentinel|slaves +sentinel|sentinels \
+sentinel|ckquorum +sentinel|myid"
{
  echo "port $port"
  tls_directives
  echo "bind * -::*"
  echo "protected-mode no"
  echo "dir $run"
  users "$client_rights" "~* &* +@all" "+sentinel|masters +sentinel|ckquorum +sentinel|sentinels +sentinel|slaves"
  echo "sentinel myid $(printf %s "$NAMESPACE/$POD" | sha1sum | cut -d ' ' -f 1)"
  if [ "$ANNOUNCE" = hostname ]; then
    echo "sentinel resolve-hostnames yes"
    echo "sentinel announce-hostnames yes"
  fi
  echo "sentinel announce-ip $own"
  echo "sentinel sentinel-user system"
  echo "sentinel sentinel-pass $(cat "$credentials/system-password")"
  echo "sentinel monitor $GROUP $master 6379 $QUORUM"
  echo "sentinel auth-user $GROUP system"
  echo "sentinel auth-pass $GROUP $(cat "$credentials/system-password")"
  echo "sentinel down-after-milliseconds $GROUP $DOWN_AFTER_MILLISECONDS"
  echo "sentinel failover-timeout $GROUP $FAILOVER_TIMEOUT_MILLISECONDS"
  echo "sentinel parallel-syncs $GROUP $MEMBERS"
  [ -z "$epoch" ] || echo "sentinel config-epoch $GROUP $epoch"
  learnt "leader-epoch $GROUP $number"
  # It would ask the master for its replicas only every 10 s, and can't do without them once that hangs.
  for address in $addresses; do
    [ "$address" = "$master" ] || echo "sentinel known-replica $GROUP $address 6379"
  done
  learnt "known-sentinel $GROUP [^ ]+ $number [0-9a-f]{40}" | while read -r line; do
    # shellcheck disable=SC2086 # its words
    set -- $line
    ! is_member "$4" || echo "$line"
  done
  learnt "current-epoch $number"
} >"$conf.new"
mv "$conf.new" "$conf"
rm -f "$run/stopping" "$run/released"
exec "$ENGINE-sentinel" "$conf"
