#!/bin/sh
# Before a master's pod ends, a replica takes over with all its writes: the master lets writes wait meanwhile.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=cluster-lib.sh
. "$(dirname "$0")/cluster-lib.sh"
end=$(($(date +%s) + FAILOVER_SECONDS))

# Whether this is still the master.
still_leads() {
  view=$(cli cluster nodes) || exit 0 # a server that has ended has nothing to hand over
  line=$(printf '%s\n' "$view" | own_line)
  leads "$line"
}

# The replicas that follow, by name. The first is taken: when the number of replicas shrinks, the last are those that go.
following() {
  online=$(cli info replication | tr -d '\r' | sed -n 's/^slave[0-9]*:ip=\([^,]*\),.*state=online.*/\1/p')
  for replica in $(printf '%s\n' "$view" | nodes_that " slave[a-z,?]* ${line%% *} " | sort -t = -k 3); do
    address=${replica#*=}
    printf '%s\n' "$online" | grep -Fxq "${address%=*}" && echo "${address%=*}"
  done
}

# A server gives up a failover after 5 s: then it is the next replica's turn.
while still_leads; do
  replicas=$(following) || true
  [ -n "$replicas" ] || exit 0
  for replica in $replicas; do
    cli -h "$replica" cluster failover >/dev/null 2>&1 || true
    giving_up=$(($(date +%s) + 6))
    while still_leads && [ "$(date +%s)" -lt "$giving_up" ]; do
      [ "$(date +%s)" -lt "$end" ] || exit 0
      sleep 0.1
    done
    still_leads || exit 0
  done
done
