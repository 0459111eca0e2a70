#!/usr/bin/env bash
# Two machines on one local network and no other: a provider that wants to be found is found without
# a ticket, joined only when the person says so, and found again at another address. The machines
# are network namespaces, joined by a bridge, inside a namespace of their own: nothing leaves it.
# `MUTIRAO` is the program; run from the repository.
set -euo pipefail
. "$(dirname "$0")/../network/alone.bash"
alone "$0" lan "${1:-}"

place=$(mktemp -d)
provider=
trap '[ -z "$provider" ] || kill "$provider" 2>/dev/null; rm -rf "$place"' EXIT

cable one two

one() { ip netns exec one "$MUTIRAO" --data-dir "$place/one" "$@"; }
two() { ip netns exec two "$MUTIRAO" --data-dir "$place/two" "$@"; }
answers() {
  two run --privacy circle --json "What is 17 + 25?" >"$place/said.json" || return 1
  grep -q '"answer":"17 + 25 = 42"' "$place/said.json"
}

# provide <port> <flags...>: starts the provider on machine one and waits until it listens.
provide() {
  local port=$1
  shift
  : >"$place/ticket.json"
  ip netns exec one "$MUTIRAO" --data-dir "$place/one" --json provide \
    --listen "0.0.0.0:$port" --run-on-batteries true "$@" >"$place/ticket.json" &
  provider=$!
  said "$place/ticket.json"
}
stop() {
  kill "$1" "$provider"
  wait "$provider" 2>/dev/null || true
  provider=
}

provide 4001
two discover --seconds 2 --json >"$place/found.json"
grep -q '"found":\[\]' "$place/found.json" || fail "who did not ask to be found was found"
stop -TERM
echo "lan: who does not ask to be found is not found"

provide 4002 --discoverable
key=$(sed -n 's/.*"provider":"\([^"]*\)".*/\1/p' "$place/ticket.json")
two discover --seconds 5 --json >"$place/found.json"
for words in "\"key\":\"$key\"" '"name":"village"' '"10.9.0.1:4002"' '"in_circle":false'; do
  grep -qF "$words" "$place/found.json" || fail "$words is not in $(cat "$place/found.json")"
done
if answers; then fail "a stranger answered"; fi
echo "lan: who asks to be found is found, and stays a stranger"

two join "${key:0:16}"
answers || fail "the node that was joined by its key does not answer"
if two join 0123456789abcdef 2>"$place/nobody.txt"; then fail "a key that is not there"; fi
grep -q "no node on this network" "$place/nobody.txt" || fail "$(cat "$place/nobody.txt")"
echo "lan: joined by its key, it answers"

stop -KILL
ip netns exec one ip addr flush dev eth0
ip netns exec one ip addr add 10.9.0.77/24 dev eth0
provide 4077 --discoverable
# Multicast may be lost, and is asked again as a person would.
answers || answers || fail "a node that moved is not found again"
answers || fail "its new address is not remembered"
two discover --seconds 5 --json >"$place/found.json"
grep -q '"in_circle":true,"moved":false' "$place/found.json" || fail "$(cat "$place/found.json")"
echo "lan: it moved, and is found again by its key"
echo "lan: passed"
