# shellcheck shell=sh
# Shared by the scripts of a cluster's node.

# The node's own line of the server's CLUSTER NODES, or of nodes.conf, which is the same.
own_line() {
  sed -n '/^[0-9a-f]* [^ ]* [a-z,?]*myself/p'
}

# Whether the line of a node is that of a master with slots.
leads() {
  case $1 in
    *"master - "*"connected "[0-9]*) return 0 ;; # or disconnected: what matters are the slots after it
    *) return 1 ;;
  esac
}

# Of lines of nodes, those that an expression finds, as words: ID=IP=NAME.
nodes_that() {
  sed -nE "/$1/s/^([0-9a-f]{40}) (.*):[0-9]+@[0-9]+,?([^, ]*)[^ ]* .*/\1=\2=\3/p"
}

# Where the node of such a word is, in $address: at its name's address, or where it was last. Only the ID tells that it is the one.
find_node() {
  id=${1%%=*}
  name=${1##*=}
  address=${1#*=}
  address=${address%=*}
  now=$(getent hosts "${name:-none}" | sed -n '1s/ .*//p')
  for address in $now $address; do
    [ "$(CLI_SECONDS=1 cli -h "$address" cluster myid 2>/dev/null)" != "$id" ] || return 0
  done
  return 1
}
