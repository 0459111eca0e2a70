#!/usr/bin/env bash
# What a thousand random transactions give away: every byte of their blocks has a name and a class, and
# nothing is found that should not be there.
# `MUTIRAO` is the program; run from the repository.
set -euo pipefail
# Some steps come to nothing, for want of money.
steps=${1:-1200}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

fail() {
  echo "leaks: FAILED, $1" >&2
  exit 1
}

history=target/release/examples/history
[ -x "$history" ] || cargo build --quiet --release --workspace --examples
"$history" "$place/blocks" "$steps" 7
"$MUTIRAO" --data-dir "$place/data" chain leaks "$place/blocks" --json >"$place/seen.json"
"$MUTIRAO" --data-dir "$place/data" chain leaks "$place/blocks"
python3 - "$place/seen.json" "$place/blocks" "$steps" <<'END' || fail "the survey is not what it should be"
import json, os, sys

seen = json.load(open(sys.argv[1]))
size, steps = os.path.getsize(sys.argv[2]), int(sys.argv[3])
assert seen["named"] == seen["bytes"] == size, (seen["named"], size)
assert seen["findings"] == [], seen["findings"]
assert seen["blocks"] * 6 >= steps * 5, seen["blocks"]
print(f"leaks: passed, {seen['blocks']} blocks, {size} bytes, each of them named, nothing found")
END
