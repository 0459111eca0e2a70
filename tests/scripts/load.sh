#!/usr/bin/env bash
# Twenty-four clients against `mutirao serve --demo`, some of whom hang up: nobody is stuck, and the same question
# has the same answer, also while all processes that models are in are killed, twice. `load.sh 300` takes five minutes
# and sees that memory stays flat as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program="${MUTIRAO:-$PWD/target/release/mutirao}"
if ! command -v python3 >/dev/null; then
  echo "load: SKIPPED, this machine has no python3" >&2
  exit 0
fi
seconds=${1:-20}
# What a new process of a model takes is no leak.
kill=()
[ "$seconds" -ge 120 ] || kill=(--kill)
place=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$place"' EXIT
"$program" serve --demo --prefix-cache 1 --http 127.0.0.1:0 --data-dir "$place" --json >"$place/door.json" &
server=$!
for _ in $(seq 100); do
  [ -s "$place/door.json" ] && break
  sleep 0.1
done
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$place/door.json"; }
OPENAI_BASE_URL=$(field base_url) OPENAI_API_KEY=$(field api_key) \
  python3 tests/clients/load.py --seconds "$seconds" --pid "$server" "${kill[@]}"
kill -INT "$server"
wait "$server"
server=
echo "load: passed"
