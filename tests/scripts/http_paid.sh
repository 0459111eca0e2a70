#!/usr/bin/env bash
# Requests over HTTP that are paid for: a door that sells answers to whoever has no key (status 402, scheme
# "Payment"), a buyer that pays through a channel, and keys that the owner gives away, with caps of their own.
# Everything is on loopback. `MUTIRAO` is the program; run from the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
scene=http_paid
. tests/network/words.bash
place=$(mktemp -d)
running=()
trap 'kill -KILL "${running[@]}" 2>/dev/null || true; rm -rf "$place"' EXIT
export MUTIRAO_WALLET_PASSWORD="the password of everybody here" MUTIRAO_THREADS=1

# post <file> <header> <body>: the status; what was said in files.
post() {
  curl --silent --output "$1" --dump-header "$1.head" --write-out '%{http_code}' --header "$2" \
    --header 'content-type: application/json' --data "$3" "$door/chat/completions"
}
command -v curl >/dev/null || {
  echo "http_paid: SKIPPED, this machine has no curl" >&2
  exit 0
}

# 1. A ledger, a shop with prices, a buyer.
"$MUTIRAO" --data-dir "$place/keeper" --json chain run --gather-ms 20 --listen 127.0.0.1:0 --http 127.0.0.1:0 \
  >"$place/ledger.json" &
running+=($!)
said "$place/ledger.json"
ledger=$(field ticket <"$place/ledger.json")
for name in shop buyer; do
  at "$name" wallet new --json >/dev/null
  at "$name" wallet faucet 3 --ledger "$ledger" --json >/dev/null
done
"$MUTIRAO" --data-dir "$place/shop" --json serve --http 127.0.0.1:0 --price-input 0.1 --price-output 0.5 \
  >"$place/door.json" &
shop=$!
running+=("$shop")
said "$place/door.json"
door=$(sed -n 's/.*"base_url":"\([^"]*\)".*/\1/p' "$place/door.json")
owner=$(field api_key <"$place/door.json")
story='{"model":"village","max_tokens":40,"messages":[{"role":"user","content":"Tell me a story about a fox and a bell."}]}'

# 2. Without a key or money there is a price, with a wrong key nothing, with the owner's an answer.
is "the status without a key" "$(post "$place/free" 'accept: */*' "$story")" 402
grep -qi '^www-authenticate: Payment .*method="mutirao"' "$place/free.head" || fail "$(cat "$place/free.head")"
is "the status with a wrong key" "$(post "$place/wrong" 'authorization: Bearer something' "$story")" 401
is "the owner's status" "$(post "$place/own" "authorization: Bearer $owner" "$story")" 200
echo "http_paid: a request without a key gets 402 and a price"

# 3. Whoever pays is answered the same; what was not used up is credit.
if at buyer fetch "$door/chat/completions" --data "$story" --max-price 0.001 >/dev/null 2>"$place/why"; then
  fail "the cap was not kept"
fi
grep -q -- --max-price "$place/why" || fail "$(cat "$place/why")"
at buyer fetch "$door/chat/completions" --data "$story" --max-price 0.1 >"$place/bought" 2>"$place/paid"
words() { sed -n 's/.*"content":"\([^"]*\)".*/\1/p' "$1"; }
is "the bought answer" "$(words "$place/bought")" "$(words "$place/own")"
echo "$story" | at buyer fetch "$door/chat/completions" --max-price 0.1 >"$place/again" 2>>"$place/paid"
is "the second answer" "$(words "$place/again")" "$(words "$place/own")"
at buyer channel ls --json >"$place/channels.json"
drawn=$(field paid <"$place/channels.json")
[ "$drawn" -gt 0 ] || fail "nothing was drawn"
echo "http_paid: two requests were paid through one channel, $drawn base units"

# 4. The shop takes what the vouchers say.
kill "$shop"
wait "$shop" 2>/dev/null || true
channel=$(at shop channel ls --json | field channel)
is "what the shop earned" "$(at shop channel ls --json | field earned)" "$drawn"
at shop channel close "$channel" --json >"$place/closed.json"
[ "$(field after <"$place/closed.json")" -gt "$(field before <"$place/closed.json")" ] || fail "nothing came"
echo "http_paid: passed"
