#!/usr/bin/env bash
# A second implementation, in plain Python with nothing but its standard library, computes every vector
# anew: tables, operators, models, whole answers, a conversion. Where numpy is, it does so once with it and
# once without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if ! command -v python3 >/dev/null; then
  echo "second implementation: SKIPPED, this machine has no python3" >&2
  exit 0
fi
if python3 -c 'import numpy' 2>/dev/null; then
  python3 spec/tests.py
  python3 spec/vectors.py
fi
export MUTIRAO_SPEC_PLAIN=1
python3 spec/tests.py
python3 spec/vectors.py
