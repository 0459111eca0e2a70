#!/usr/bin/env bash
# The table of families, from nothing: lessons of the village, a tiny checkpoint of every family
# trained on them with `transformers`, and our integers held against what `transformers` gives.
#
#   tools/families/run.sh           five minutes of one core for each family, two at a time
#   tools/families/run.sh keep      anew what the tests read: smaller, and trained for seconds
#
# A Python with torch, transformers and tokenizers is named by PYTHON; without one, a virtual
# environment is made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
size=(--steps 5000 --hidden 96 --layers 3)
split=()
if [ "${1:-}" = keep ]; then
  size=(--steps 60 --hidden 48 --layers 2 --small crates/learn/tests/families)
  split=(test)
fi
out=target/families
mkdir -p "$out"
python=${PYTHON:-$out/python/bin/python}
if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
  python3 -m venv "$out/python"
  python=$out/python/bin/python
  "$python" -m pip install --quiet torch transformers safetensors
fi
cargo build --quiet --release --workspace --examples
lessons=target/release/examples/dump_lessons
"$lessons" 7 12000 >"$out/lessons.txt"
"$lessons" 8 600 "${split[@]}" >"$out/held-out.txt"
make() {
  nice -n 10 "$python" tools/families/make.py "$out/lessons.txt" "$out/held-out.txt" \
    models/village/chat_template.jinja "$out" --texts 6 "${size[@]}" --only "$@"
}
make llama2 llama3 smollm2 mistral qwen2 &
make qwen3 gemma gemma2 gemma3
wait $!
all=("$out"/{llama2,llama3,smollm2,mistral,qwen2,qwen3,gemma,gemma2,gemma3})
target/release/examples/families "${all[@]}"
echo
target/release/examples/margins "${all[@]}"
