#!/bin/sh
# shellcheck disable=SC3028 # HOSTNAME: the container runtime sets it
# Starts a node of a cluster: as what it was, also when its volume was emptied, and never as a master that lacks what a replica has.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=cluster-lib.sh
. "$(dirname "$0")/cluster-lib.sh"
umask 077
nodes=$data/nodes.conf

# Whether the server could load its nodes.conf, which it writes whole: a line for each node, and one for the epochs.
intact() {
  grep -q '^vars currentEpoch [0-9]* lastVoteEpoch [0-9]*$' "$nodes" 2>/dev/null &&
    [ "$(own_line <"$nodes" | wc -l)" = 1 ] &&
    ! grep -Evq '^([0-9a-f]{40} [^ ]+ [^ ]+ (-|[0-9a-f]{40}) [0-9]+ [0-9]+ [0-9]+ (dis)?connected( .*)?|vars .*)$' "$nodes"
}

# Writes nodes.conf from what the node at an address knows, with this one's flags and master as given.
# It takes part in no vote of an epoch that has begun, because it can't know whether it had voted.
remember() {
  view=$(cli -h "$1" cluster nodes) && epoch=$(cli -h "$1" cluster info | tr -d '\r' | sed -n 's/^cluster_current_epoch://p') || return 1
  {
    printf '%s\n' "$view" | sed -E -e '/ [a-z,?]*handshake/d' -e 's/ myself,/ /' -e 's/ \[[^]]*\]//g' \
      -e "s/^($own [^ ]*) [^ ]* [^ ]* /\1 myself,$2 $3 /"
    echo "vars currentEpoch $epoch lastVoteEpoch $epoch"
  } >"$nodes.new"
  mv "$nodes.new" "$nodes"
}

# Asks the others who this node was. One that comes back under another identity would only be in their way.
recall() {
  for address in $(getent ahosts "$PEERS" | cut -d ' ' -f 1 | sort -u); do
    view=$(CLI_SECONDS=1 cli -h "$address" cluster nodes 2>/dev/null) || continue
    line=$(printf '%s\n' "$view" | grep -F ",$HOSTNAME.$DOMAIN ") || continue
    # Two: it was replaced before, and the repair has not got to it yet.
    [ "$(printf '%s\n' "$line" | wc -l)" = 1 ] || return 1
    own=${line%% *}
    recall_role || continue
    echo "start: $address knows this node as $own"
    return 0
  done
  return 1
}

# A replica, a master with its slots, or a replica of who has taken them over: the others call a failed master so until it is back.
recall_role() {
  master=$(printf %s "$line" | cut -d ' ' -f 4)
  if [ "$master" = - ] && ! leads "$line"; then
    for other in $(printf '%s\n' "$view" | nodes_that ",${HOSTNAME%-*}-[0-9]+\\..* [a-z,?]*master - .*connected [0-9]"); do
      master=${other%%=*}
    done
  fi
  case $master in
    -) remember "$address" master - ;;
    *) remember "$address" slave "$master" ;;
  esac
}

# Whether this node leads a shard by its own notes; its line of them is in $line.
was_master() {
  [ -e "$nodes" ] && line=$(own_line <"$nodes") && leads "$line"
}

# Seconds since data was last written here; a lot when there is none.
idle() {
  # shellcheck disable=SC2012,SC2046 # the server's own file names
  last=$(stat -c %Y "$data/$DATA_FILE" $(ls -d "$data/$DATA_FILE"/* 2>/dev/null) 2>/dev/null | sort -n | sed -n '$p')
  echo $(($(date +%s) - ${last:-0}))
}

# A replica may have writes that this node has not: those that were on their way to the disk when the process was killed. So a
# master asks its replicas before it serves again. One that has all that is on this disk takes over, now: in less time than it
# takes the others to miss this node.
yield_to_a_replica() {
  own=${line%% *}
  idle=$(idle)
  best='' most=-1 unknown='' # one that loads or copies can't tell yet
  for replica in $(nodes_that " slave[a-z,?]* $own " <"$nodes"); do
    find_node "$replica" && info=$(cli -h "$address" info 2>/dev/null | tr -d '\r') && [ "$(field loading)" = 0 ] &&
      [ "$(field master_sync_in_progress)" != 1 ] || {
      unknown="$unknown ${replica##*=}"
      continue
    }
    if [ "$(field role)" = master ]; then
      best=$address
      break
    fi
    offset=$(field slave_repl_offset)
    [ "$offset" -le "$most" ] || ! has_all || { best=$address most=$offset; }
  done
  if [ -n "$best" ]; then
    promote "$best"
    remember "$best" slave "$(cli -h "$best" cluster myid)"
    echo "start: $best has taken over"
  elif [ ! -e "$data/$DATA_FILE" ] && [ -n "$unknown" ]; then
    die "the volume has no $DATA_FILE, and$unknown does not answer, which may have the data: asking again"
  fi
}

# Whether the replica of $info has all that is on this disk: it lost the master no earlier than this was last written.
has_all() {
  if [ ! -e "$data/$DATA_FILE" ]; then
    [ -n "$(field db0)" ]
    return
  fi
  down=0
  [ "$(field master_link_status)" = up ] || down=$(field master_link_down_since_seconds)
  # -1: it has restarted too, and has heard nothing since.
  [ "$down" -ge 0 ] && [ "$down" -le $((idle + 5)) ]
}

# By the votes of the other masters, who give them although they do not miss this node yet. Where there is no majority to vote,
# nobody else can be voted for either, so the replica may do without.
promote() {
  for how in force takeover; do
    cli -h "$1" cluster failover "$how" >/dev/null 2>&1 || true
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      line=$(cli -h "$1" cluster nodes | own_line) && leads "$line" && return 0
      sleep 0.1
    done
  done
  die "the replica at $1 has what this node has, and does not take over: asking again"
}

if ! intact && ! recall; then
  [ ! -e "$nodes" ] || die "$nodes is damaged, and no other node knows this one: asking again. Restore it, or empty the volume"
  [ ! -e "$data/appendonlydir" ] && [ ! -e "$data/dump.rdb" ] ||
    die "the volume has data but no nodes.conf, and no other node knows this one: asking again. Restore it, or empty the volume"
fi
! was_master || yield_to_a_replica

rights="~* -@all +ping +info +psync +replconf +acl|setuser +cluster +migrate +select +restore-asking +dbsize +client|id +client|list +client|setname"
# For a changed certificate. It can't be limited to that, and gives nobody more: who may set users may set his own rights.
[ ! -d "$tls" ] || rights="$rights +config|set"
{
  echo "include $etc/config/server.conf"
  tls_directives
  [ ! -d "$tls" ] || echo "tls-cluster yes"
  users "~* &* +@all" "$rights"
  echo "masteruser system"
  echo "masterauth $(cat "$credentials/system-password")"
  echo "cluster-announce-ip $(getent hosts "$HOSTNAME" | sed -n '1s/ .*//p')"
  echo "cluster-announce-hostname $HOSTNAME.$DOMAIN"
} >"$run/server.conf.new"
mv "$run/server.conf.new" "$run/server.conf"

# Not by exec: when the server crashes, its last will is done here and now. The container starts again a second later, or minutes
# when it has crashed before, and the others miss the server only after their timeout, and then have to vote.
"$ENGINE-server" "$run/server.conf" &
server=$!
asked=''
trap 'asked=yes; kill "$server"' TERM INT
while kill -0 "$server" 2>/dev/null; do
  code=0
  wait "$server" || code=$? # or of the signal, and the server is about to end
done
[ -n "$asked" ] || ! was_master || yield_to_a_replica
exit "$code"
