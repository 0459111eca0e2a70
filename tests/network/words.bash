# What scripts say and look for; `scene` is the name of the test.
fail() {
  echo "$scene: FAILED, $1" >&2
  exit 1
}
# field <name>: the value of that field in JSON on standard input.
field() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' | tail -1; }
# is <what> <found> <wanted>
is() { [ "$2" = "$3" ] || fail "$1 is $2, not $3"; }
# said <file>: waits until something stands in it.
said() {
  for _ in $(seq 600); do
    [ -s "$1" ] && return
    sleep 0.05
  done
  fail "nothing was said in ${1##*/}"
}
# at <home> <word...>: the program, with somebody's home.
at() {
  local home=$1
  shift
  "$MUTIRAO" --data-dir "$place/$home" "$@"
}
