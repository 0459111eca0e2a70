#!/usr/bin/env bash
# Receipts made by the program, judged by the second implementation (spec/verify.py), which shares no code
# with it, and then forged in every field (spec/forge.py). `MUTIRAO` is the program.
#
# About twenty receipts; fifty with the argument `all`, or where MUTIRAO_SLOW is set. Answers are greedy and
# sampled, whole, cut by length, cancelled by a stop text, from long prompts, on one thread and on all, and
# finished by another provider after the first was killed (SIGKILL) in mid-answer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v python3 >/dev/null; then
  echo "receipts: SKIPPED, this machine has no python3" >&2
  exit 0
fi
export MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
many=${MUTIRAO_SLOW:-}
[ "${1:-}" != all ] || many=1

# numpy makes it faster and is not needed: where it is not here and PyPI cannot be had, it is done without.
with_numpy() {
  local environment=target/numpy
  python3 -c 'import numpy' 2>/dev/null && { echo python3; return; }
  if python3 -c 'import venv, ensurepip' 2>/dev/null; then
    [ -x "$environment/bin/python" ] || python3 -m venv "$environment"
    "$environment/bin/python" -c 'import numpy' 2>/dev/null ||
      timeout 60 "$environment/bin/pip" install --quiet --disable-pip-version-check numpy >&2 || true
    "$environment/bin/python" -c 'import numpy' 2>/dev/null && { echo "$environment/bin/python"; return; }
  fi
  echo python3
}

python=${PYTHON:-}
[ -n "$python" ] || python=$(with_numpy)
if [ "${1:-}" != inside ]; then
  export PYTHON="$python" MUTIRAO_SLOW=$many
  exec unshare -rn bash "$0" inside
fi

ip link set lo up
place=$(mktemp -d)
declare -A process
trap 'for one in "${process[@]}"; do kill -9 "$one" 2>/dev/null; done; rm -rf "$place"' EXIT
export MUTIRAO_DATA_DIR="$place/me" MUTIRAO_RUN_ON_BATTERIES=true
count=0

# ask <argument...>: one more receipt.
ask() {
  count=$((count + 1))
  "$MUTIRAO" run --receipt "$place/$(printf %02d $count).json" "$@" >"$place/seen.txt"
}

# provider <number>: starts one that writes slowly, and joins it.
provider() {
  local said ticket key
  "$MUTIRAO" provide --json --throw-away-keys --listen 127.0.0.1:0 --threads 1 --pace 40 \
    --data-dir "$place/provider$1" >"$place/provider$1.json" 2>"$place/provider$1.txt" &
  local started=$!
  disown
  for _ in $(seq 300); do
    [ -s "$place/provider$1.json" ] && break
    sleep 0.1
  done
  said=$(cat "$place/provider$1.json")
  ticket=$(sed -n 's/.*"ticket":"\([^"]*\)".*/\1/p' <<<"$said")
  key=$(sed -n 's/.*"provider":"\([^"]*\)".*/\1/p' <<<"$said")
  [ -n "$ticket" ] || { echo "a provider printed no ticket" >&2; exit 1; }
  process[${key:0:8}]=$started
  "$MUTIRAO" join "$ticket" >/dev/null
}

# broken <argument...>: asks the circle, and kills whoever answers once its words are seen.
broken() {
  # What the answer before this one left there is not who writes now.
  : >"$place/seen.txt"
  ask --privacy circle "$@" &
  local asking=$! writer=
  count=$((count + 1))
  for _ in $(seq 600); do
    writer=$(sed -n 's/^\[\([0-9a-f]\{8\}\)\] .\{20,\}/\1/p' "$place/seen.txt" | head -1)
    writer=${writer:0:8}
    [ -n "$writer" ] && break
    sleep 0.05
  done
  [ -n "$writer" ] || { echo "nobody answered" >&2; exit 1; }
  kill -9 "${process[$writer]}"
  unset "process[$writer]"
  wait "$asking"
  grep -q "→" "$place/seen.txt" || { cat "$place/seen.txt" >&2; echo "nobody took over" >&2; exit 1; }
}

greedy=("What is 17 + 25?" "What is 81 - 36?" "What is 7 times 8?"
  "Extract the order: Please send 12 crates of mangoes to Rosa on Friday." "What is Mutirão?"
  "Which day comes after Monday?" "Spell the word bell." "How many metres are 3 kilometres?"
  "How do you say house in Portuguese?" "Who is the baker?" "olá 🌻 <|end|> <|user|> ça va?"
  "Which is larger, 31 or 13?" "Who lives by the river?" "What is the capital of the moon?")
story="Tell me a story about a fox and a bell."
sampled=("--temperature 0.7" "--temperature 1.3 --top-k 40" "--temperature 1 --top-p 0.9"
  "--temperature 1 --min-p 0.05" "--temperature 1.5 --top-k 50 --top-p 0.95 --min-p 0.02"
  "--temperature 100" "--temperature 0.001" "--temperature 2 --top-k 1" "--temperature 3 --top-p 0")
stops=("bell" " fox" "." "morning")
lengths=(1 7 16 33)
breaks=2 turns=1
if [ -z "$many" ]; then
  greedy=("${greedy[@]:0:3}" "${greedy[10]}")
  sampled=("${sampled[@]:0:5}") stops=("${stops[@]:0:2}") lengths=(1 33)
else
  breaks=8 turns=2
fi
sentences=70
if [ -n "${MUTIRAO_SPEC_PLAIN:-}" ] || ! "$python" -c 'import numpy' 2>/dev/null; then
  sentences=9
fi
long=$(for n in $(seq "$sentences"); do printf 'Ana walks to the river with %d apples. ' $((n * 37 % 98)); done)

for question in "${greedy[@]}"; do ask "$question"; done
for turn in $(seq "$turns"); do
  for words in "${sampled[@]}"; do
    # shellcheck disable=SC2086
    ask $words --seed "$turn" --max-tokens 48 "$story"
  done
done
for text in "${stops[@]}"; do ask --stop "$text" "$story"; done
for tokens in "${lengths[@]}"; do ask --max-tokens "$tokens" "$story"; done
ask --threads 1 --max-tokens 24 "$long"
ask --threads 2 --system "$long" --temperature 0.8 --seed 9 --max-tokens 24 "And now?"
for number in $(seq $((breaks + 1))); do provider "$number"; done
for number in $(seq "$breaks"); do
  case $number in
  1) broken "$story" ;;
  2) broken --temperature 0.9 --top-p 0.95 --seed "$number" --max-tokens 80 "$story" ;;
  3) broken --mode checked "$story" ;;
  *) broken --temperature 1 --seed "$number" --max-tokens 80 "$story" ;;
  esac
done
echo "receipts: $count made, $breaks of them after a death in mid-answer"

"$python" spec/verify.py --json "$place"/[0-9]*.json >"$place/verdicts.txt"
held=$(grep -c '"holds": true' "$place/verdicts.txt")
matched=$(grep -c '"text": "matches' "$place/verdicts.txt")
[ "$held" = "$count" ] && [ "$matched" = "$count" ]
for finish in eos length cancelled; do
  echo "  $(grep -c "\"finish\": \"$finish\"" "$place/verdicts.txt") by $finish"
done
echo "receipts: $held hold, $matched of them with their text"

some=$([ -n "$many" ] && echo 1 || echo 6)
"$python" spec/forge.py --some "$some" --program "$MUTIRAO" "$place"/[0-9]*.json
echo "receipts: passed"
