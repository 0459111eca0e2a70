# Machines of a script's own: what tests/scripts/{lan,money,paid}.sh read first. They are network namespaces
# inside a namespace of the script's own, so that nothing leaves it. `MUTIRAO` is the program.
#
# alone <script> <name of the test> <word...>: starts the script once more where it may make networks, with the
# word `inside`; skips it, aloud, where that is not allowed. Inside it returns, and networks can be made.
MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
alone() {
  local script=$1 name=$2 word=${3:-}
  scene=$name
  if [ "$word" != inside ]; then
    skip() {
      echo "$name: SKIPPED, $1" >&2
      exit 0
    }
    command -v ip >/dev/null || skip "this machine has no ip (package iproute2)"
    unshare -rnm sh -c 'ip link add v1 type veth peer name v2 && ip link add b1 type bridge' \
      2>/dev/null || skip "this user may not make networks of namespaces"
    MUTIRAO="$MUTIRAO" exec unshare -rnm bash "$script" inside
  fi
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns
}
# cable <machine...>: machines on one bridge, and one with no network that is called stranger.
cable() {
  local number=0 name
  ip link add br0 type bridge mcast_snooping 0
  ip link set br0 up
  for name in "$@"; do
    number=$((number + 1))
    ip netns add "$name"
    ip link add "$name" type veth peer name eth0 netns "$name"
    ip link set "$name" master br0 up
    ip netns exec "$name" ip link set lo up
    ip netns exec "$name" ip link set eth0 up
    ip netns exec "$name" ip addr add "10.9.0.$number/24" dev eth0
  done
  ip netns add stranger
}
. "$(dirname "${BASH_SOURCE[0]}")/words.bash"
