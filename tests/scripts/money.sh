#!/usr/bin/env bash
# Money between three machines on one network and no other: one keeps a ledger, one pays, one is paid. A
# fourth machine with no network has the file of blocks alone: it sees counts, sizes, times and fees, and
# nothing that a person owns. At the end the supply is added up, to the base unit. The machines are network
# namespaces, joined by a bridge, inside a namespace of their own: nothing leaves it.
# `MUTIRAO` is the program; run from the repository.
set -euo pipefail
. "$(dirname "$0")/../network/alone.bash"
alone "$0" money "${1:-}"

place=$(mktemp -d)
keeper=
trap '[ -z "$keeper" ] || kill "$keeper" 2>/dev/null; rm -rf "$place"' EXIT

cable keeper ana rui

# at <machine> <word...>: the program there, with a home of its own.
at() {
  local name=$1
  shift
  MUTIRAO_WALLET_PASSWORD="the password of $name" \
    ip netns exec "$name" "$MUTIRAO" --data-dir "$place/$name" "$@"
}

# keep <port>: the ledger, at a port.
keep() {
  : >"$place/ledger.json"
  ip netns exec keeper "$MUTIRAO" --data-dir "$place/keeper" --json chain run \
    --listen "0.0.0.0:$1" --http 127.0.0.1:0 >"$place/ledger.json" &
  keeper=$!
  said "$place/ledger.json"
  ticket=$(field ticket <"$place/ledger.json")
  [ -n "$ticket" ] || fail "the ledger printed no ticket"
}

# 1. A ledger and two wallets.
keep 4001
words=$(at ana wallet new --json | field words)
is "the number of words" "$(wc -w <<<"$words")" 24
at rui wallet new --json >"$place/rui.json"
address=$(field address <"$place/rui.json")
for name in ana rui; do
  mode=$(stat -c %a "$place/$name/wallets/main/keys")
  is "the mode of $name's keystore" "$mode" 600
done
for name in ana rui; do
  at "$name" wallet balance --json --ledger "$ticket" | grep -q '"spendable":0' || fail "$name began rich"
done
at ana wallet faucet 100 --json >/dev/null
is "what Ana has" "$(at ana wallet balance --json | field spendable)" 100000000
echo "money: a ledger and two wallets, and 100 TJ from the faucet"

# 2. One pays the other, and proves it to whoever doubts.
memo="tijolos para a casa da Rosa"
if at ana wallet send "$address" 12.345678 </dev/null 2>"$place/why.txt"; then fail "nobody agreed"; fi
grep -q -- --yes "$place/why.txt" || fail "$(cat "$place/why.txt")"
at ana wallet send "$address" 12.345678 --memo "$memo" --yes --wait 20 --json >"$place/sent.json"
tx=$(field tx <"$place/sent.json")
fee=$(field fee <"$place/sent.json")
is "what Rui has" "$(at rui wallet balance --json | field spendable)" 12345678
is "what Ana has" "$(at ana wallet balance --json | field spendable)" $((100000000 - 12345678 - fee))
at rui wallet history | grep -qF "$memo" || fail "the words did not arrive"
at ana wallet history | grep -qF "$memo" || fail "Ana forgot what she said"
proof=$(at ana wallet prove "${tx:0:12}" --question "did you pay Rui?" --json | field proof)
at rui wallet check "$proof" --question "did you pay Rui?" | grep -q "12.345678 TJ to $address" ||
  fail "the proof does not hold"
if at rui wallet check "$proof" --question "did you pay Eva?" >/dev/null; then fail "a proof of all"; fi
echo "money: Ana paid Rui 12.345678 TJ for a fee of $fee base units, and proved it"

# 3. The ledger is killed and comes back at another port; a wallet is restored from its words.
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null || true
keep 4002
printf '%s\n' "$words" >"$place/words.txt"
mkdir "$place/again"
ip netns exec ana env MUTIRAO_WALLET_PASSWORD="another password" "$MUTIRAO" \
  --data-dir "$place/again" wallet restore --from "$place/words.txt" >/dev/null
found=$(ip netns exec ana env MUTIRAO_WALLET_PASSWORD="another password" "$MUTIRAO" \
  --data-dir "$place/again" wallet balance --ledger "$ticket" --json | field spendable)
is "what the words find" "$found" $((100000000 - 12345678 - fee))
at rui wallet send "$(at ana wallet address)" 1.5 --yes --wait 20 --ledger "$ticket" >/dev/null
ana=$(at ana wallet balance --json --ledger "$ticket" | field spendable)
rui=$(at rui wallet balance --json | field spendable)
echo "money: 24 words find everything; Ana has $ana, Rui has $rui base units"

# 4. A stranger with nothing but the blocks.
at ana chain export "$place/blocks" --from "$ticket" >/dev/null
stranger() { ip netns exec stranger "$MUTIRAO" --data-dir "$place/stranger" chain "$@"; }
stranger outsider "$place/blocks" --all >"$place/seen.txt"
stranger outsider "$place/blocks" --all --json >>"$place/seen.txt"
stranger leaks "$place/blocks" >>"$place/seen.txt" || fail "$(cat "$place/seen.txt")"
cat "$place/seen.txt" | head -20
own=$(at ana wallet address)
sub=$(at ana wallet address --new)
for secret in "$memo" "$address" "$own" "$sub" 12345678 12.345678 1500000 1.500000; do
  if grep -qF -- "$secret" "$place/seen.txt"; then fail "a stranger sees $secret"; fi
  if grep -qaF -- "$secret" "$place/blocks"; then fail "$secret stands in the blocks"; fi
done
# 12 345 678 and 1 500 000 as the eight bytes of an amount.
for amount in '\x4e\x61\xbc\x00\x00\x00\x00\x00' '\x60\xe3\x16\x00\x00\x00\x00\x00'; do
  if LC_ALL=C grep -qaP "$amount" "$place/blocks"; then fail "an amount stands in the blocks"; fi
done
# What everybody may see is there, so that this looked at the right file.
grep -qF "${tx:0:8}" "$place/seen.txt" || fail "the stranger does not even see that something was paid"
LC_ALL=C grep -qaP '\x00\xe1\xf5\x05\x00\x00\x00\x00' "$place/blocks" || fail "no new value in public"
echo "money: a stranger sees that, when and how large; not who, how much or why"

# 5. The supply, to the base unit.
stranger audit --blocks "$place/blocks" --json >"$place/audit.json"
grep -q '"exact":true' "$place/audit.json" || fail "$(cat "$place/audit.json")"
is "the supply" "$(field supply <"$place/audit.json")" $((ana + rui))
echo "money: supply audit exact, $((ana + rui)) base units, all of them in the two wallets"
echo "money: passed"
