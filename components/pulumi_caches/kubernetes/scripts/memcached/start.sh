#!/bin/sh
# start.sh ARGUMENT…: starts the server with these arguments, if the image has what they and the scripts need.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
umask 077

version=$(memcached --version) || die "the image has no memcached that runs"
command -v bash >/dev/null || die "the image has no bash, which the probes need: use a Debian-based one, such as memcached:1.6.38"

# The help has only what was built in.
case $* in
  *ext_path=*) memcached --help | grep -q ext_path= || die "the image's $version was built without extstore, which extstore_gib needs" ;;
  *--memory-file=*) memcached --help | grep -q -- --memory-file= || die "the image's $version has no memory file, which warm_restart needs" ;;
  *proxy_config=*)
    memcached --help | grep -q proxy_config= ||
      die "the image's $version was built without the proxy (--enable-proxy), which proxy needs: official images have it from 1.6.39 on"
    ;;
esac
if [ -d "$tls" ]; then
  memcached --help | grep -q -- --enable-ssl || die "the image's $version was built without TLS (--enable-tls), which tls_secret_name needs"
  copy_certificate || die "no certificate in $tls: does the Secret have tls.crt and tls.key?"
fi
if [ -d "$credentials" ]; then
  accepted=$(logins)
  printf '%s\n' "$accepted" >"$run/logins"
fi
echo "start: $version"
case $* in
  *--memory-file=*) ;;
  *)
    echo $$ >"$run/pid"
    exec memcached "$@"
    ;;
esac

# Keeps the items for the next server in this pod: they lie in a file in memory, and the server says how when SIGUSR1 ends it.
# It would crash on what another one had no time to say, and start empty in the second in which the other one ended.
items=/data/items
[ -s "$items.meta" ] || rm -f "$items.meta"
[ ! -e "$items.meta" ] || sleep 1
memcached "$@" &
server=$!
echo "$server" >"$run/pid"
trap 'kill -USR1 "$server"' TERM
code=1
# A signal ends the waiting, not the server.
while kill -0 "$server" 2>/dev/null; do
  code=0
  wait "$server" || code=$?
done
exit "$code"
