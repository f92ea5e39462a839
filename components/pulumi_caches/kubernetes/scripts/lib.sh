# shellcheck shell=sh
# Shared by the other scripts. They run in the official images, so: POSIX shell, coreutils and the server's own programs.
# Secrets are read from files and passed by environment or standard input, never as arguments of a process.

etc=${CACHE_ETC:-/etc/cache}
# shellcheck disable=SC2034 # for the scripts that include this one
run=${CACHE_RUN:-/run/cache}
# shellcheck disable=SC2034
data=${CACHE_DATA:-/data}
port=${CACHE_PORT:-6379}
credentials=$etc/credentials

die() {
  echo "$(basename "$0" .sh): $*" >&2
  exit 1
}

# Runs a command of the server as the system user; bounded, because a stopped server would hang it.
cli() {
  REDISCLI_AUTH=$(cat "$credentials/system-password") timeout 4 "$ENGINE-cli" --user system -p "$port" "$@"
}

# The accepted passwords as the server takes them: #SHA256, the current one first. Fails without a current one.
accepted_passwords() {
  # What is read counts, not the file's size: one with only a line break would let everybody in without a password.
  [ -n "$(cat "$credentials/password" 2>/dev/null)" ] || return 1
  for file in "$credentials/password" "$credentials/previous-password"; do
    text=$(cat "$file" 2>/dev/null) || true
    [ -z "$text" ] || printf '#%s ' "$(printf %s "$text" | sha256sum | cut -d ' ' -f 1)"
  done
}

# Notes what is accepted from now on, and prints the two users' lines; $1 and $2 are what each may do.
users() {
  passwords=$(accepted_passwords) || die "no password in $credentials/password: does the Secret have the key, and is it not empty?"
  printf %s "$passwords" >"$run/accepted-$port"
  echo "user default on $passwords$1"
  echo "user system on #$(printf %s "$(cat "$credentials/system-password")" | sha256sum | cut -d ' ' -f 1) $2"
}

# The address of a member's Service: it never changes, so no name has to be resolved while the group fails over.
member_address() {
  until found=$(getent ahosts "$1.$NAMESPACE.svc" | cut -d ' ' -f 1 | sort -u | head -n 1) && [ -n "$found" ]; do
    echo "$1.$NAMESPACE.svc does not resolve yet" >&2
    sleep 1
  done
  echo "$found"
}
