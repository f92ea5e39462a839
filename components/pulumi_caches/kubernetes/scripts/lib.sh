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
  REDISCLI_AUTH=$(cat "$credentials/system-password") timeout "${CLI_SECONDS:-4}" "$ENGINE-cli" --user system -p "$port" "$@"
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

# Whether the server answers, if only that it is loading, busy or full: a restart would help nobody.
alive() {
  reply=$(cli ping 2>&1) || true
  case $reply in
    *PONG* | *LOADING* | *BUSY* | *MASTERDOWN* | *NOAUTH* | *WRONGPASS* | *"max number of clients"*) ;;
    *) die "no answer: ${reply:-timeout}" ;;
  esac
}

# Applies a changed Secret without a restart, so nobody is refused or disconnected while passwords rotate.
apply_passwords() {
  passwords=$(accepted_passwords) || die "no password in $credentials/password"
  [ "$passwords" != "$(cat "$run/accepted-$port" 2>/dev/null)" ] || return 0
  reply=$(printf 'ACL SETUSER default resetpass %s\n' "$passwords" | cli 2>&1) || true
  [ "$reply" = OK ] || die "passwords could not be changed: $reply"
  printf %s "$passwords" >"$run/accepted-$port"
}

# A field of the server's INFO, which is in $info.
field() {
  # shellcheck disable=SC2154 # who calls it has asked
  printf '%s\n' "$info" | sed -n "s/^$1://p"
}
