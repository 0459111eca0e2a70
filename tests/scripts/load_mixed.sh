#!/usr/bin/env bash
# Twenty-four streaming clients against one `mutirao serve`, four of whom are answered at a time: some with the
# owner's key, some with keys of their own, and eight who have none and pay for each request through a channel on a
# ledger. Three in ten hang up, in the line or in the middle of an answer. Nobody is stuck, and the same question has
# the same answer whoever asks. `load_mixed.sh 300` takes five minutes and sees as well that memory stays flat
# (within 5 %) and that nobody waits three times as long as the median.
#
# Waiting time: from the sending of a request (with its payment, where it is paid for) until the first piece of text
# is there, over all answers that came to their end. Each client asks again as soon as its last question is over.
# Everything is on loopback. `MUTIRAO` is the program; run from the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
scene=load_mixed
. tests/network/words.bash
seconds=${1:-15}
command -v python3 >/dev/null || {
  echo "load_mixed: SKIPPED, this machine has no python3" >&2
  exit 0
}
place=$(mktemp -d)
running=()
trap 'kill -KILL "${running[@]}" 2>/dev/null || true; rm -rf "$place"' EXIT
export MUTIRAO_WALLET_PASSWORD="the password of everybody here" MUTIRAO_THREADS=1


# 1. A ledger, a shop, eight buyers and fifteen keys; one client is the owner's.
"$MUTIRAO" --data-dir "$place/keeper" --json chain run --gather-ms 20 --listen 127.0.0.1:0 --http 127.0.0.1:0 \
  >"$place/ledger.json" &
running+=($!)
said "$place/ledger.json"
ledger=$(field ticket <"$place/ledger.json")
for name in shop buyers/{1..8}; do
  at "$name" wallet new --json >/dev/null
  at "$name" wallet faucet 5 --ledger "$ledger" --json >/dev/null
done
for number in {1..15}; do at shop key add "key$number" --json | field api_key >>"$place/keys"; done

# 2. The door writes as fast as people read, so that places are what everybody waits for.
"$MUTIRAO" --data-dir "$place/shop" --json serve --http 127.0.0.1:0 --pace 40 --prefix-cache 1 \
  --price-input 0.01 --price-output 0.05 >"$place/door.json" &
shop=$!
running+=("$shop")
said "$place/door.json"
# On a machine that others use as well, few seconds say nothing about the longest wait.
fair=()
[ "$seconds" -lt 120 ] || fair=(--wait-most 3)
OPENAI_BASE_URL=$(sed -n 's/.*"base_url":"\([^"]*\)".*/\1/p' "$place/door.json") \
  OPENAI_API_KEY=$(field api_key <"$place/door.json") \
  python3 tests/clients/load.py --seconds "$seconds" --pid "$shop" --streamed 1 \
  --keys "$place/keys" --wallets "$place/buyers" "${fair[@]}"

# 3. The shop was paid, and ends when it is told to.
kill -INT "$shop"
wait "$shop"
at shop channel ls --json >"$place/channels.json"
grep -q '"earned":[1-9]' "$place/channels.json" || fail "$(cat "$place/channels.json")"
echo "load_mixed: passed"
