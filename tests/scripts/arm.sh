#!/usr/bin/env bash
# The engine on another architecture: its tests are built for ARM (aarch64) and run under emulation, so that
# the kernels for those processors give the golden vectors and twenty whole answers of the village model to
# the last logit. Before that the kernels of this machine give the same: all of them equal the committed files,
# and so each other. On an ARM machine there is nothing to emulate.
#
# What is missing is fetched where that is possible (the compiler's target by rustup, linker and emulator by
# apt as root); where it is not, the script says so and stops.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

skip() {
  echo "arm: SKIPPED, $1" >&2
  exit 0
}
install() {
  DEBIAN_FRONTEND=noninteractive timeout 180 apt-get install -y -q "$@" >/dev/null
}

# The kernels, and what is computed with them: the names of tests begin so.
tests=(kernel:: model::llama:: vectors:: packed::)
run=(cargo test --release --locked --quiet -p mutirao-engine --lib --test it)
"${run[@]}" -- "${tests[@]}"

if [ "$(uname -m)" != aarch64 ]; then
  target=aarch64-unknown-linux-gnu
  linker=aarch64-linux-gnu-gcc
  emulator=qemu-aarch64-static
  if ! { command -v "$linker" && command -v "$emulator"; } >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      skip "this machine has no $linker and $emulator, and this user cannot install them"
    packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
    install "${packages[@]}" || { apt-get update -q >/dev/null && install "${packages[@]}"; } ||
      skip "a compiler for ARM and an emulator cannot be installed"
  fi
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
    command -v rustup >/dev/null || skip "this Rust has no $target, and there is no rustup"
    timeout 180 rustup target add "$target" || skip "rustup cannot fetch $target"
  fi
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$linker"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$emulator -L /usr/aarch64-linux-gnu"
  "${run[@]}" --target "$target" -- "${tests[@]}"
fi
echo "arm: passed"
