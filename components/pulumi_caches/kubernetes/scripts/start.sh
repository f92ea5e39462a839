#!/bin/sh
# Starts the server: adds to the rendered configuration what no ConfigMap may hold (passwords) and what differs by pod (its role).
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
umask 077

# A server only loads the file of its own kind of persistence. Started beside another it would be empty, and write over it.
refuse_to_ignore_data() {
  for other in dump.rdb appendonlydir; do
    [ ! -e "$data/$other" ] || die "the volume has $other but no $DATA_FILE, which is what this persistence loads:" \
      "it would start empty. Choose the persistence that made $other, or move $other away to start empty."
  done
}

# A primary whose volume was emptied would erase the last copy: its replicas follow it. It waits for a person instead.
refuse_to_erase_replicas() {
  addresses=$(peers) || exit 1
  for address in $addresses; do
    reply=$(cli -h "$address" info 2>&1 | tr -d '\r') || true
    case $reply in
      *"Connection refused"*) continue ;; # no server there: this pod itself, or one that only starts
      *loading:1*) die "the volume is empty, and the server at $address is still loading: asking again" ;;
      *"db"[0-9]*:keys=*)
        die "the volume is empty, but the replica at $address holds data, which starting would erase." \
          "Copy its data first (see docs: the primary's volume was lost), or start anew after this on the replica:" \
          "CONFIG SET replica-read-only no; FLUSHALL; CONFIG SET replica-read-only yes"
        ;;
      *"# Keyspace"*) continue ;;
      *) die "the volume is empty, and the server at $address does not say whether it holds data: ${reply:-timeout}" ;;
    esac
  done
}

# The addresses of all pods. This one is among them, so none at all means that names do not resolve yet.
peers() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    found=$(getent ahosts "$PEERS" | cut -d ' ' -f 1 | sort -u)
    [ -z "$found" ] || break
    sleep 1
  done
  [ -n "$found" ] || die "the volume is empty, and $PEERS does not resolve, so no replica can be asked whether it holds data"
  echo "$found"
}

# What the system user may do: probes and replication; beside sentinels also what they and the agent need to move the master.
system_rights() {
  echo "-@all +ping +info +psync +replconf +acl|setuser"
  # For a changed certificate. It can't be limited to that, and gives nobody more: who may set users may set his own rights.
  [ ! -d "$tls" ] || echo "+config|set"
  [ "$ROLE" != member ] || echo "&__sentinel__:hello +subscribe +publish +multi +exec +role +slaveof +replicaof +config|rewrite" \
    "+config|set +client|setname +client|kill +client|pause +client|unpause +script|kill"
}

{
  echo "include $etc/config/server.conf"
  tls_directives
  users '~* &* +@all' "$(system_rights | tr '\n' ' ')"
  echo "masteruser system"
  echo "masterauth $(cat "$credentials/system-password")"
  case $ROLE in
    replica) echo "replicaof $PRIMARY_HOST $port" ;;
    member)
      echo "replica-announce-ip $(member_address "$POD")"
      # Never a master by itself, nor by the sentinels before it has followed one: the others may have newer data. The agent
      # says whom to follow, or that this one begins, and then gives it a priority.
      echo "replicaof 127.0.0.1 1"
      echo "replica-priority 0"
      ;;
  esac
} >"$run/server.conf.new"
mv "$run/server.conf.new" "$run/server.conf"
rm -f "$run/stopping" "$run/released"

if [ -n "$DATA_FILE" ] && [ "$ROLE" != replica ] && [ ! -e "$data/$DATA_FILE" ]; then
  refuse_to_ignore_data
  [ "$ROLE" != primary ] || refuse_to_erase_replicas
fi
exec "$ENGINE-server" "$run/server.conf"
