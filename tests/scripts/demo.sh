#!/usr/bin/env bash
# The demonstration of the README, from a machine that has only loopback: three providers, a silent
# death in mid-answer, the same answer, a verified receipt, two refused forgeries, a payment that a
# stranger with every block sees nothing of, and an answer paid by the token.
set -euo pipefail
program="${MUTIRAO:-$PWD/target/release/mutirao}"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
unshare -rn env HOME="$place" sh -c 'ip link set lo up && exec "$0" demo' "$program" \
  >"$place/seen.txt" || { cat "$place/seen.txt" >&2; exit 1; }
cat "$place/seen.txt"
for words in "is gone" "identical, token by token" "exact (" "by an outsider: signature" \
  "signed again: tokens: diverge at 7" "Ana pays 12.345678 TJ" \
  "neither amount nor words nor address" "as its receipt says" "rosa closes" "davi closes" \
  "caio takes" "ada takes" "supply audit: exact" "Everything above held"; do
  grep -qF "$words" "$place/seen.txt" || { echo "the demo did not say: $words" >&2; exit 1; }
done
if [ -n "$(ls -A "$place" | grep -v seen.txt)" ]; then
  echo "the demo left files behind" >&2
  exit 1
fi
echo "demo: passed"
