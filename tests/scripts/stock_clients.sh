#!/usr/bin/env bash
# The stock `openai` and `ollama` Python packages, and the agents of `openai-agents`, use `mutirao serve` as
# they use anything else. They come from PyPI into an environment of their own under target/; where there is no
# Python or no PyPI the script says so and stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
program="${MUTIRAO:-$PWD/target/release/mutirao}"
environment=target/clients
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  echo "stock clients: SKIPPED, this machine has no python3 with venv" >&2
  exit 0
fi
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
if ! "$environment/bin/python" -c 'import agents, jsonschema, ollama, openai' 2>/dev/null &&
  ! "$environment/bin/pip" install --quiet --disable-pip-version-check 'openai>=3,<4' 'ollama>=0.5,<1' \
    'openai-agents>=0.24,<1' 'jsonschema>=4,<5'; then
  echo "stock clients: SKIPPED, the packages cannot be had from PyPI" >&2
  exit 0
fi

place=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$place"' EXIT
"$program" serve --http 127.0.0.1:0 --data-dir "$place" --json >"$place/door.json" &
server=$!
for _ in $(seq 100); do
  [ -s "$place/door.json" ] && break
  sleep 0.1
done
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$place/door.json"; }
for client in openai forms agent; do
  OPENAI_BASE_URL=$(field base_url) OPENAI_API_KEY=$(field api_key) \
    "$environment/bin/python" "tests/clients/${client}_client.py"
done
address=$(field base_url)
OLLAMA_HOST=${address%/v1} OLLAMA_API_KEY=$(field api_key) \
  "$environment/bin/python" tests/clients/ollama_client.py
kill "$server"
wait "$server"
server=
echo "stock clients: passed"
