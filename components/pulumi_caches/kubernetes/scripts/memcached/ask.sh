#!/bin/bash
# ask.sh HOST PORT COMMAND: prints the first line of the server's reply. Logs in before with the "USER PASSWORD" of standard input, if any.
# In bash, because the image has no client: bash itself opens connections.
set -eu
LC_ALL=C

# A server that is full says so and closes before it is asked anything.
trap '' PIPE
send() {
  # shellcheck disable=SC2059 # the formats are below
  printf "$@" >&3 2>/dev/null || true
}

reply() {
  local line
  IFS= read -r line <&3
  printf '%s\n' "${line%$'\r'}"
}

IFS= read -r login || true
exec 3<>"/dev/tcp/$1/$2"
if [ -n "$login" ]; then
  send 'set login 0 0 %d\r\n%s\r\n' "${#login}" "$login"
  said=$(reply)
  [ "$said" = STORED ] || {
    echo "$said"
    exit 0
  }
fi
send '%s\r\n' "$3"
reply
