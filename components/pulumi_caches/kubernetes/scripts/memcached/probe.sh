#!/bin/sh
# probe.sh alive: the server answers, if only that it has too many connections: a restart would help nobody.
# probe.sh ready: it has the current passwords and the current certificate.
set -eu
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Applies a changed Secret without a restart. The server reads its file within a second; connections that are open stay open.
apply_passwords() {
  [ -d "$credentials" ] || return 0
  accepted=$(logins) || exit 1
  [ "$accepted" != "$(cat "$run/logins")" ] || return 0
  (umask 077 && printf '%s\n' "$accepted" >"$run/logins.new")
  mv "$run/logins.new" "$run/logins"
  kill -HUP "$(cat "$run/pid")"
}

# Applies a changed certificate without a restart: new connections see it, open ones go on.
apply_certificate() {
  [ -d "$tls" ] || return 0
  ! has_certificate || return 0
  copy_certificate || die "the certificate is just being changed"
  said=$(ask 127.0.0.1 "$PORT" probe "$credentials/system-password" refresh_certs) || true
  [ "$said" = OK ] || {
    rm "$run/tls.crt" # so that the next probe tries again
    die "the server does not take the certificate: ${said:-timeout}"
  }
}

reply=$(ask 127.0.0.1 "$PORT" probe "$credentials/system-password" version) || die "no answer: ${reply:-timeout}"
[ "$1" = ready ] || exit 0
apply_passwords
apply_certificate
case $reply in
  # One that is full serves those who are in.
  "VERSION "* | *"Too many open connections"*) ;;
  *) die "answers: $reply" ;;
esac
