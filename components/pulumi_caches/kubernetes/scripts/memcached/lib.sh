# shellcheck shell=sh
# Shared by the other scripts. Secrets are read from files and passed by standard input, never as arguments of a process.

here=$(dirname "$0")
credentials=/etc/cache/credentials
tls=/etc/cache/tls
# shellcheck disable=SC2034 # for the scripts that include this one
run=/run/cache

die() {
  echo "$(basename "$0" .sh): $*" >&2
  exit 1
}

# ask HOST PORT USER PASSWORD-FILE COMMAND: the first line of the server's reply; bounded, because a stopped server would hang it.
ask() {
  { [ ! -e "$4" ] || printf '%s %s' "$3" "$(cat "$4")"; } | timeout 4 bash "$here/ask.sh" "$1" "$2" "$5" 2>&1
}

# Who may log in, a line each: the application with the current and the previous password, and the probes. Fails without a current one.
logins() {
  for user in cache:password cache:previous-password probe:system-password; do
    text=$(cat "$credentials/${user#*:}" 2>/dev/null) || true
    case $text in
      "") [ "${user#*:}" != password ] || die "no password in $credentials/password: does the Secret have the key, and is it not empty?" ;;
      # The server takes user and password apart at the space, and reads lines of at most 255 characters.
      *[[:space:]]*) die "the ${user#*:} has a space or line break in it, which Memcached can't log in with" ;;
      *) [ "${#text}" -le 200 ] || die "the ${user#*:} has more than 200 characters, which Memcached would cut off" ;;
    esac
    [ -z "$text" ] || printf '%s:%s\n' "${user%:*}" "$text"
  done
}

# Takes a copy of the certificate and its key that belong together: the Secret may change between the two. Fails when it just has.
copy_certificate() {
  for file in tls.crt tls.key; do
    cp -f "$tls/$file" "$run/$file" || return 1
  done
  has_certificate
}

# Whether the copy is what the Secret has.
has_certificate() {
  cmp -s "$tls/tls.crt" "$run/tls.crt" && cmp -s "$tls/tls.key" "$run/tls.key"
}
