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
esac
if [ -d "$tls" ]; then
  memcached --help | grep -q -- --enable-ssl || die "the image's $version was built without TLS (--enable-tls), which tls_secret_name needs"
  copy_certificate || die "no certificate in $tls: does the Secret have tls.crt and tls.key?"
fi
if [ -d "$credentials" ]; then
  accepted=$(logins)
  printf '%s\n' "$accepted" >"$run/logins"
fi
echo $$ >"$run/pid"
echo "start: $version"
exec memcached "$@"
