#!/bin/sh
# probe.sh alive: the server answers, if only that it is loading, busy or full: a restart would help nobody.
# probe.sh ready: it serves its role, knows the current passwords and, as a replica, holds data that is fresh enough.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

fail() {
  echo "$*" >&2
  exit 1
}

alive() {
  reply=$(cli ping 2>&1) || true
  case $reply in
    *PONG* | *LOADING* | *BUSY* | *MASTERDOWN* | *NOAUTH* | *WRONGPASS* | *"max number of clients"*) ;;
    *) fail "no answer: ${reply:-timeout}" ;;
  esac
}

# Applies a changed Secret without a restart, so nobody is refused or disconnected while passwords rotate.
apply_passwords() {
  passwords=$(accepted_passwords) || fail "no password in $credentials/password"
  [ "$passwords" != "$(cat "$run/accepted" 2>/dev/null)" ] || return 0
  reply=$(printf 'ACL SETUSER default resetpass %s\n' "$passwords" | cli 2>&1) || true
  [ "$reply" = OK ] || fail "passwords could not be changed: $reply"
  printf %s "$passwords" >"$run/accepted"
}

ready() {
  info=$(cli info 2>&1 | tr -d '\r') || true
  case $(field role) in
    master) [ "$ROLE" = primary ] || fail "is a primary and should be a replica" ;;
    slave) [ "$ROLE" = replica ] || fail "is a replica and should be the primary" ;;
    *) fail "no answer: $info" ;;
  esac
  # It answers INFO meanwhile, and nothing else.
  [ "$(field loading)" = 0 ] || fail "is loading its data"
  [ "$ROLE" = primary ] || fresh
}

# While the primary restarts its replicas go on serving reads, for a bounded time.
fresh() {
  if [ "$(field master_link_status)" = up ]; then
    # A link that a network fault has cut stays up for a minute more; the primary is heard every 10 s while it works.
    silent=$(field master_last_io_seconds_ago)
    [ "$silent" -le $((MAX_STALE_SECONDS + 10)) ] || fail "has not heard the primary for $silent s"
    return 0
  fi
  down=$(field master_link_down_since_seconds)
  [ "${down:--1}" -ge 0 ] || fail "has not copied the primary's data yet"
  [ "$down" -le "$MAX_STALE_SECONDS" ] || fail "lost the primary $down s ago"
}

field() {
  printf '%s\n' "$info" | sed -n "s/^$1://p"
}

case ${1:-} in
  alive) alive ;;
  ready) apply_passwords && ready ;;
  *) fail "usage: probe.sh alive|ready" ;;
esac
