#!/usr/bin/env bash
# Two programs started by hand answer each other on a machine whose only network is loopback:
# no default server, no internet, one ticket. `MUTIRAO` is the program; run from the repository.
set -euo pipefail
if [ "${1:-}" != inside ]; then
  MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}" exec unshare -rn bash "$0" inside
fi

ip link set lo up
place=$(mktemp -d)
provider=
trap '[ -z "$provider" ] || kill "$provider" 2>/dev/null; rm -rf "$place"' EXIT

"$MUTIRAO" provide --data-dir "$place/one" --json >"$place/ticket.json" &
provider=$!
for _ in $(seq 100); do
  [ -s "$place/ticket.json" ] && break
  sleep 0.1
done
ticket=$(sed -n 's/.*"ticket":"\([^"]*\)".*/\1/p' "$place/ticket.json")
[ -n "$ticket" ] || { echo "the provider printed no ticket" >&2; exit 1; }

two=("$MUTIRAO" --data-dir "$place/two")
"${two[@]}" join "$ticket"
question="What is 17 + 25?"
"${two[@]}" run --privacy circle --json --receipt "$place/receipt.json" "$question" \
  >"$place/far.json"
"${two[@]}" run --privacy local --json "$question" >"$place/near.json"
far=$(sed -n 's/.*"answer":"\([^"]*\)".*/\1/p' "$place/far.json")
near=$(sed -n 's/.*"answer":"\([^"]*\)".*/\1/p' "$place/near.json")
echo "far:  $far"
echo "near: $near"
[ -n "$far" ] && [ "$far" = "$near" ]
"${two[@]}" verify "$place/receipt.json"

# A node that is gone is a clear error, not a hang; nothing is asked of anybody else.
kill -9 "$provider"
wait "$provider" 2>/dev/null || true
provider=
if "${two[@]}" run --privacy circle "$question" >"$place/gone.txt" 2>&1; then
  echo "an answer without a provider" >&2
  exit 1
fi
cat "$place/gone.txt"
echo "two processes on loopback only: passed"
