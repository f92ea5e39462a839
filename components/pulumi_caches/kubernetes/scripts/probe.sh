#!/bin/sh
# probe.sh alive: the server answers, if only that it is loading, busy or full: a restart would help nobody.
# probe.sh ready: it serves its role, knows the current passwords and certificate and, as a replica, holds data that is fresh enough.
# probe.sh sentinel: the sentinel answers and knows the current passwords.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ready() {
  info=$(cli info 2>&1 | tr -d '\r') || true
  case $(field role) in
    master) [ "$ROLE" != replica ] || die "is a primary and should be a replica" ;;
    slave) [ "$ROLE" != primary ] || die "is a replica and should be the primary" ;;
    *) die "no answer: $info" ;;
  esac
  # It answers INFO meanwhile, and nothing else.
  [ "$(field loading)" = 0 ] || die "is loading its data"
  [ "$(field role)" = master ] || fresh
}

# While the primary restarts its replicas go on serving reads, for a bounded time.
fresh() {
  if [ "$(field master_link_status)" = up ]; then
    # A link that a network fault has cut stays up for a minute more; the primary is heard every 10 s while it works.
    silent=$(field master_last_io_seconds_ago)
    [ "$silent" -le $((MAX_STALE_SECONDS + 10)) ] || die "has not heard the primary for $silent s"
    return 0
  fi
  down=$(field master_link_down_since_seconds)
  [ "${down:--1}" -ge 0 ] || die "has not copied the primary's data yet"
  [ "$down" -le "$MAX_STALE_SECONDS" ] || die "lost the primary $down s ago"
}

case ${1:-} in
  alive) alive ;;
  ready) apply_passwords && apply_certificate && ready ;;
  sentinel) alive && apply_passwords ;;
  *) die "usage: probe.sh alive|ready|sentinel" ;;
esac
