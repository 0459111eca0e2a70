#!/usr/bin/env bash
# The page of `mutirao serve` in a real browser, Debian's Chromium. What is missing is fetched where
# that is possible (chromium by apt as root, playwright-core from npm into target/browser); where it
# is not, the script says so and stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export MUTIRAO="${MUTIRAO:-$PWD/target/release/mutirao}"
export CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
export PLACE="$PWD/target/browser"

skip() {
  echo "browser: SKIPPED, $1" >&2
  exit 0
}
command -v node >/dev/null || skip "this machine has no node"
command -v npm >/dev/null || skip "this machine has no npm"
if [ ! -x "$CHROMIUM" ]; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    skip "this machine has no chromium, and this user cannot install it"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q chromium >/dev/null ||
    skip "chromium cannot be installed"
fi
mkdir -p "$PLACE"
if [ ! -d "$PLACE/node_modules/playwright-core" ]; then
  npm install --prefix "$PLACE" --silent --no-audit --no-fund 'playwright-core@^1.50' ||
    skip "playwright-core cannot be had from npm"
fi
timeout 300 node tests/browser/page.mjs
echo "browser: passed"
