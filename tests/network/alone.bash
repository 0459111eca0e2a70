# Machines of a script's own: what tests/scripts/{lan,money}.sh read first. They are network namespaces
# inside a namespace of the script's own, so that nothing leaves it. `MUTIRAO` is the program.
#
# alone <script> <name of the test> <word...>: starts the script once more where it may make networks, with the
# word `inside`; skips it, aloud, where that is not allowed. Inside it returns, and networks can be made.
MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
alone() {
  local script=$1 name=$2 word=${3:-}
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
