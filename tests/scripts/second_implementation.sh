#!/usr/bin/env bash
# A second implementation of the arithmetic, in plain Python with nothing but its standard library,
# computes every vector anew: tables, operators, models, whole answers, a conversion.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v python3 >/dev/null; then
  echo "second implementation: SKIPPED, this machine has no python3" >&2
  exit 0
fi
python3 spec/vectors.py
