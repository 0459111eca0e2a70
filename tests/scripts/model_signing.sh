#!/usr/bin/env bash
# What we sign the stock `model-signing` package verifies, and what it signs we verify; a file that was changed,
# added or removed and a changed signature are refused by both. The package comes from PyPI into an environment of
# its own under target/; where there is no Python or no PyPI the script says so and stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
environment=target/model-signing
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  echo "model signing: SKIPPED, this machine has no python3 with venv" >&2
  exit 0
fi
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
if ! "$environment/bin/python" -c 'import model_signing, OpenSSL' 2>/dev/null &&
  ! "$environment/bin/pip" install --quiet --disable-pip-version-check 'model-signing>=1.1,<2' pyOpenSSL; then
  echo "model signing: SKIPPED, the package cannot be had from PyPI" >&2
  exit 0
fi
cargo build --release --locked --quiet --example model_signing
program=$(cargo metadata --no-deps --offline --format-version 1 |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/examples/model_signing

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
fail() {
  echo "model signing: FAILED, $1" >&2
  exit 1
}
ours() { "$program" "$@" >/dev/null 2>"$place/why.txt"; }
stock() { "$environment/bin/model_signing" "$@" >"$place/why.txt" 2>&1; }
# verify_with <who> <signature>: whether it verifies the folder.
verify_with() {
  case $1 in
    ours) ours verify "$place/model" "$place/public.pem" "$2" ;;
    stock) stock verify key --public_key "$place/public.pem" --signature "$2" "$place/model" ;;
  esac
}
# both <signature> <what>: both must refuse.
refused() {
  local who
  for who in ours stock; do
    if verify_with "$who" "$1"; then fail "$who accepts $2"; fi
  done
}

ours key "$place/private.pem" "$place/public.pem" || fail "$(cat "$place/why.txt")"
cp -r models/village "$place/model"
mkdir "$place/model/more.d" "$place/model/more"
echo one >"$place/model/more.d/one"
echo two >"$place/model/more/two"
ours sign "$place/model" "$place/private.pem" "$place/ours.sig" || fail "$(cat "$place/why.txt")"
stock sign key --private_key "$place/private.pem" --signature "$place/stock.sig" "$place/model" ||
  fail "$(cat "$place/why.txt")"
for signature in ours stock; do
  for who in ours stock; do
    verify_with "$who" "$place/$signature.sig" || fail "$who refuses $signature: $(cat "$place/why.txt")"
    echo "model signing: what $signature signed holds for $who"
  done
done
for signature in "$place/ours.sig" "$place/stock.sig"; do
  name=${signature##*/}
  printf x | dd of="$place/model/more/two" conv=notrunc status=none
  refused "$signature" "a changed file ($name)"
  echo two >"$place/model/more/two"
  echo three >"$place/model/three"
  refused "$signature" "an added file ($name)"
  rm "$place/model/three"
  mv "$place/model/more/two" "$place/two"
  refused "$signature" "a missing file ($name)"
  mv "$place/two" "$place/model/more/two"
  python3 - "$signature" "$place/changed.sig" <<'PYTHON'
import base64, json, sys
bundle = json.load(open(sys.argv[1]))
signed = bundle["dsseEnvelope"]["signatures"][0]
raw = bytearray(base64.b64decode(signed["sig"]))
raw[-1] ^= 1
signed["sig"] = base64.b64encode(bytes(raw)).decode()
json.dump(bundle, open(sys.argv[2], "w"))
PYTHON
  refused "$place/changed.sig" "a changed signature ($name)"
  for who in ours stock; do verify_with "$who" "$signature" || fail "$who refuses $name again"; done
done
echo "model signing: changed, added and missing files and changed signatures are refused by both"
echo "model signing: passed"
