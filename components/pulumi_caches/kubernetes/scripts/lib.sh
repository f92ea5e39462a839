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
# There is a folder of this name when all speak TLS; what the own server has read of it is in the other.
tls=$etc/tls
certificate=$run/tls-$port

die() {
  echo "$(basename "$0" .sh): $*" >&2
  exit 1
}

# Runs a command as the system user, of the own server or, with -h first, of another; bounded, because a stopped server would hang it.
cli() {
  trust=
  [ ! -d "$tls" ] || case ${1:-} in
    -h) trust="--tls --cacert $tls/ca.crt" ;;
    # Nobody else is at the pod's own address. Were it verified, a certificate that has run out would have the server restarted.
    *) trust="--tls --insecure" ;;
  esac
  # shellcheck disable=SC2086 # its words
  REDISCLI_AUTH=$(cat "$credentials/system-password") timeout "${CLI_SECONDS:-4}" "$ENGINE-cli" $trust --user system -p "$port" "$@"
}

# What tells a certificate, with its key and authority, from the next one.
fingerprint() {
  (cd "$1" && cat tls.crt tls.key ca.crt) | sha256sum
}

# Takes a copy of files that belong together: the Secret may change between them. Fails when it just has.
copy_certificate() {
  mkdir -p "$certificate"
  for file in tls.crt tls.key ca.crt; do
    (umask 077 && cp -f "$tls/$file" "$certificate/$file") || return 1
  done
  [ "$(fingerprint "$certificate")" = "$(fingerprint "$tls")" ]
}

# The directives of a server or sentinel that speaks nothing but TLS; none without a certificate. Those that it calls
# are known by the authority, and by no name: they are called by address. Clients log in with the password.
tls_directives() {
  [ -d "$tls" ] || return 0
  "$ENGINE-cli" --help 2>&1 | grep -q -e --tls || die "the image's $ENGINE was built without TLS (BUILD_TLS=yes), which tls_secret_name needs"
  for file in tls.crt tls.key ca.crt; do
    [ -s "$tls/$file" ] || die "no $file in $tls: does the Secret have tls.crt, tls.key and ca.crt?"
  done
  copy_certificate || die "the certificate is just being changed: asking again"
  fingerprint "$certificate" >"$certificate/applied"
  printf '%s\n' "port 0" "tls-port $port" "tls-replication yes" "tls-auth-clients no" \
    "tls-cert-file $certificate/tls.crt" "tls-key-file $certificate/tls.key" "tls-ca-cert-file $certificate/ca.crt"
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

# Notes what is accepted from now on, and prints the users' lines; $1 and $2 are what two may do, $3 what the exporter may besides:
# asking how a server does. Its password is made of the system user's, so that whoever knows it knows nothing else.
users() {
  passwords=$(accepted_passwords) || die "no password in $credentials/password: does the Secret have the key, and is it not empty?"
  printf %s "$passwords" >"$run/accepted-$port"
  echo "user default on $passwords$1"
  system=$(cat "$credentials/system-password")
  echo "user system on #$(printf %s "$system" | sha256sum | cut -d ' ' -f 1) $2"
  exporter=$(printf 'exporter:%s' "$system" | sha256sum | cut -d ' ' -f 1)
  echo "user exporter on #$(printf %s "$exporter" | sha256sum | cut -d ' ' -f 1) -@all +ping +info +client|setname \
${3:-+slowlog|get +slowlog|len +latency|latest +latency|histogram +cluster|info}"
}

# What a member is known by. The address of its Service: it never changes, so no name has to be resolved while the group fails
# over; of two it is the one of IPv4, because all of the group have to choose the same. With ANNOUNCE=hostname the Service's name.
member_address() {
  # Nothing sorts before a space.
  until found=$(getent ahosts "$1.$NAMESPACE.svc" | sed 's/ .*//; /:/!s/^/ /' | LC_ALL=C sort | head -n 1) && [ -n "$found" ]; do
    echo "$1.$NAMESPACE.svc does not resolve yet" >&2
    sleep 1
  done
  [ "$ANNOUNCE" != hostname ] || found="$1.$NAMESPACE.svc"
  echo "${found# }"
}

# Whether the server answers, if only that it is loading, busy or full: a restart would help nobody.
alive() {
  # One that is full hangs up on who speaks TLS, without a word: that is a client's error, not its end.
  reply=$(trap '' PIPE && cli ping 2>&1) || true
  case $reply in
    *PONG* | *LOADING* | *BUSY* | *MASTERDOWN* | *NOAUTH* | *WRONGPASS* | *"max number of clients"* | *SSL_connect*) ;;
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

# Applies a changed certificate without a restart: new connections see it, open ones go on. One that can't be used changes nothing:
# the server says why in its log, and goes on with the one it has.
apply_certificate() {
  [ -d "$tls" ] || return 0
  now=$(fingerprint "$tls")
  [ "$now" != "$(cat "$certificate/applied")" ] || return 0
  copy_certificate || return 0 # it is just being changed
  reply=$(cli config set tls-cert-file "$certificate/tls.crt" tls-key-file "$certificate/tls.key" \
    tls-ca-cert-file "$certificate/ca.crt" 2>&1) || true
  [ "$reply" = OK ] || {
    echo "the certificate could not be changed: $reply" >&2
    return 0
  }
  echo "$now" >"$certificate/applied"
}

# A field of the server's INFO, which is in $info.
field() {
  # shellcheck disable=SC2154 # who calls it has asked
  printf '%s\n' "$info" | sed -n "s/^$1://p"
}
