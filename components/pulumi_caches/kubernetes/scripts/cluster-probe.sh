#!/bin/sh
# cluster-probe.sh alive: the server answers, if only that it is loading, busy or full.
# cluster-probe.sh ready: it serves in a whole cluster, knows the current passwords and certificate and, as a replica, follows its master.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=cluster-lib.sh
. "$(dirname "$0")/cluster-lib.sh"

ready() {
  view=$(cli cluster nodes 2>&1) || die "no answer: $view"
  find_lost
  info=$(cli info 2>&1 | tr -d '\r') || true
  # It answers INFO meanwhile, and nothing else.
  [ "$(field loading)" = 0 ] || die "is loading its data, or does not answer: $info"
  state=$(cli cluster info | tr -d '\r' | sed -n 's/^cluster_state://p')
  [ "$state" = ok ] || die "is in no cluster that works"
  case $(printf '%s\n' "$view" | own_line) in
    *\[*) die "has slots on their way" ;;
  esac
  [ "$(field role)" = master ] || [ "$(field master_link_status)" = up ] || follow_again
}

# A replica that learns its master's new address by gossip goes on calling the old one, until it is told again whom to follow.
follow_again() {
  master=$(printf '%s\n' "$view" | own_line | cut -d ' ' -f 4)
  case $(printf '%s\n' "$view" | nodes_that "^$master ") in
    *"=$(field master_host)="*) ;;
    *) cli cluster replicate "$master" >/dev/null ;;
  esac
  die "does not follow its master"
}

# Nodes find each other by address. When all have restarted, nobody has a present one: each looks the others up by name. A few at
# a time, so that the probe ends in time.
find_lost() {
  lost=$(printf '%s\n' "$view" | nodes_that ' disconnected( |$)' | head -n 5)
  for node in $lost; do
    find_node "$node" || continue
    case $node in
      *"=$address="*) ;;
      *) cli cluster meet "$address" "$port" >/dev/null ;;
    esac
  done
}

case ${1:-} in
  alive) alive ;;
  ready) apply_passwords && apply_certificate && ready ;;
  *) die "usage: cluster-probe.sh alive|ready" ;;
esac
