#!/bin/sh
# Before a member's server or sentinel is stopped: waits until the agent has made another server the master, or says that it needn't.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

touch "$run/stopping"
waited=0
until [ -e "$run/released" ] || [ "$waited" -ge "$((HANDOVER_SECONDS * 10))" ]; do
  sleep 0.1
  waited=$((waited + 1))
done
