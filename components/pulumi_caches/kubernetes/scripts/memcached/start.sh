#!/bin/sh
# start.sh ARGUMENT…: starts the server with these arguments, if the image has what they and the scripts need.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
umask 077

version=$(memcached --version) || die "the image has no memcached that runs"
command -v bash >/dev/null || die "the image has no bash, which the probes need: use a Debian-based one, such as memcached:1.6.38"

if [ -d "$credentials" ]; then
  accepted=$(logins)
  printf '%s\n' "$accepted" >"$run/logins"
fi
echo $$ >"$run/pid"
echo "start: $version"
exec memcached "$@"
