#!/usr/bin/env bash
# An answer paid by the token, between four machines on one network and no other: one keeps a ledger, two answer
# and are paid, one asks and pays. The one that answers is killed in the middle; both are paid for exactly their
# part, close their channels, and the model's creator and the creator of what it was made from get their shares. A
# fifth machine with no network has the file of blocks alone, and learns no amount and no name. At the end the
# supply is added up, to the base unit. The machines are network namespaces, as in money.sh.
# `MUTIRAO` is the program; run from the repository.
set -euo pipefail
. "$(dirname "$0")/../network/alone.bash"
alone "$0" paid "${1:-}"

place=$(mktemp -d)
declare -A running=()
trap 'kill -KILL "${running[@]}" 2>/dev/null || true; rm -rf "$place"' EXIT

cable keeper rosa davi bia

# on <machine> <home> <word...>: the program on a machine, with somebody's home.
on() {
  local machine=$1 home=$2
  shift 2
  MUTIRAO_WALLET_PASSWORD="the password of $home" MUTIRAO_RUN_ON_BATTERIES=true \
    ip netns exec "$machine" "$MUTIRAO" --data-dir "$place/$home" --threads 1 "$@"
}
# start <machine> <file> <word...>: the same in the background, what it says in a file; `started` is its number.
start() {
  local machine=$1 file=$2
  shift 2
  env MUTIRAO_WALLET_PASSWORD="the password of $machine" MUTIRAO_RUN_ON_BATTERIES=true \
    ip netns exec "$machine" "$MUTIRAO" --data-dir "$place/$machine" --threads 1 "$@" >"$file" &
  started=$!
}
# at <machine> <word...>: the same, with the home of that machine.
at() { on "$1" "$@"; }
# spendable <machine> <home>
spendable() { on "$1" "$2" wallet balance --json | field spendable; }

# 1. A ledger with short epochs, five wallets, a model that its creator published.
printf 'name = "paid"\nnetwork = "test"\nfee_unit = 10\ntill_epoch = 4\nfaucet_most = 1000000000\n' \
  >"$place/genesis.toml"
start keeper "$place/ledger.json" chain run --json --genesis "$place/genesis.toml" --gather-ms 20 \
  --listen 0.0.0.0:4001 --http 127.0.0.1:0
running[keeper]=$started
said "$place/ledger.json"
ledger=$(field ticket <"$place/ledger.json")
for who in "keeper caio" "keeper ada" "rosa rosa" "davi davi" "bia bia"; do
  # shellcheck disable=SC2086
  on $who wallet new --json >/dev/null
  # shellcheck disable=SC2086
  on $who wallet faucet 3 --ledger "$ledger" --json >/dev/null
done
old=$(on keeper ada till make --json | field till)
till=$(on keeper caio publish village --royalty 5 --made-from "$old:20" --json | field till)
for name in rosa davi bia; do at "$name" till use village "$till:5" >/dev/null; done
echo "paid: Caio published the model: 5 % of each answer, a fifth of that to Ada"

# 2. Two providers with prices, and a client that may spend a tenth of a tijolo.
declare -A key=()
for name in rosa davi; do
  start "$name" "$place/$name.json" provide --json --listen 0.0.0.0:4001 --pace 25 \
    --price-input 0.1 --price-output 0.5 --price-attest 0.25
  running[$name]=$started
  said "$place/$name.json"
  key[$name]=$(field provider <"$place/$name.json")
  at bia join "$(field ticket <"$place/$name.json")" >/dev/null
done
story="Tell me a story about a fox and a bell."
if at bia run --privacy circle village "$story" >/dev/null 2>"$place/why.txt"; then
  fail "something was spent without a cap"
fi
grep -q -- --max-price "$place/why.txt" || fail "$(cat "$place/why.txt")"
start bia "$place/answer.txt" run --privacy circle --max-price 0.1 village "$story"
asking=$started
for _ in $(seq 600); do
  [ "$(wc -w <"$place/answer.txt")" -gt 34 ] && break
  sleep 0.05
done
writing=
for name in rosa davi; do
  grep -qF "[${key[$name]:0:8}]" "$place/answer.txt" && writing=$name
done
[ -n "$writing" ] || fail "nobody answers: $(cat "$place/answer.txt")"
kill -KILL "${running[$writing]}"
wait "$asking" || fail "$(cat "$place/answer.txt")"
cat "$place/answer.txt"
grep -q "is gone" "$place/answer.txt" || fail "it did not die in the middle"
at bia run --privacy local village "$story" >"$place/alone.txt"
words() { sed 's/\[[0-9a-f]\{8\}\] //; /is gone/d; /tokens ·/d' "$1" | tr -d '\n'; }
is "the broken answer" "$(words "$place/answer.txt")" "$(words "$place/alone.txt")"
echo "paid: $writing was killed in the middle, and the answer is the unbroken one"

# 3. Each provider holds vouchers for exactly what the client paid it, and closes.
for name in rosa davi; do
  kill -KILL "${running[$name]}" 2>/dev/null || true
  wait "${running[$name]}" 2>/dev/null || true
done
at bia channel ls --json >"$place/channels.json"
royalties=0
for name in rosa davi; do
  at "$name" channel ls --json >"$place/earned.json"
  channel=$(field channel <"$place/earned.json")
  earned=$(field earned <"$place/earned.json")
  paid=$(grep -o "{[^}]*\"$channel\"[^}]*}" "$place/channels.json" | field paid)
  is "what $name holds vouchers for" "$earned" "$paid"
  at "$name" channel close "$channel" --json >"$place/closed.json"
  came=$(($(field after <"$place/closed.json") - $(field before <"$place/closed.json")))
  royalty=$((paid * 5 / 100))
  fee=$((paid - royalty - came))
  [ "$fee" -gt 0 ] && [ "$fee" -lt 1000 ] || fail "$name got $came of $paid"
  at bia channel close "$channel" --json >/dev/null
  royalties=$((royalties + royalty))
  echo "paid: $name closed, $paid less $royalty royalty less a fee of $fee"
done

# 4. An epoch later the creator takes its share, and its ancestor a fifth of that.
passed_on=$((royalties / 5))
for who in caio ada; do
  for _ in 1 2 3 4; do at bia wallet faucet 0.001 --json >/dev/null; done
  mine=$(on keeper "$who" till ls --json | grep -o '"till":"[0-9a-f]*"' | head -1 | field till)
  got=$(on keeper "$who" till pay-out "$mine" --json | field paid_out)
  wanted=$passed_on
  [ "$who" = ada ] || wanted=$((royalties - passed_on))
  is "what $who takes out" "$got" "$wanted"
  echo "paid: $who takes $got base units out of the till"
done

# 5. A stranger with nothing but the blocks.
at bia chain export "$place/blocks" --from "$ledger" >/dev/null
stranger() { ip netns exec stranger "$MUTIRAO" --data-dir "$place/stranger" chain "$@"; }
stranger outsider "$place/blocks" --all >"$place/seen.txt"
stranger outsider "$place/blocks" --all --json >>"$place/seen.txt"
stranger leaks "$place/blocks" >>"$place/seen.txt" || fail "$(cat "$place/seen.txt")"
tail -5 "$place/seen.txt"
for secret in "${key[rosa]}" "${key[davi]}" village fox; do
  if grep -qF -- "$secret" "$place/seen.txt"; then fail "a stranger sees $secret"; fi
  if grep -qaF -- "$secret" "$place/blocks"; then fail "$secret stands in the blocks"; fi
done
echo "paid: a stranger sees channels open and close; not who, how much or for what"

# 6. The supply, to the base unit.
sum=0
for who in "keeper caio" "keeper ada" "rosa rosa" "davi davi" "bia bia"; do
  # shellcheck disable=SC2086
  sum=$((sum + $(spendable $who)))
done
stranger audit --blocks "$place/blocks" --json >"$place/audit.json"
grep -q '"exact":true' "$place/audit.json" || fail "$(cat "$place/audit.json")"
is "the supply" "$(field supply <"$place/audit.json")" "$sum"
echo "paid: supply audit exact, $sum base units, all of them in five wallets"
echo "paid: passed"
