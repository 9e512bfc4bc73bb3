#!/bin/sh
# Every test there is: one file of tests for each spec. The last line and the exit status say how
# it went.
cd "$(dirname "$0")" || exit 2
passed=0
failed=0

# check NAME EXPECTED ACTUAL
check() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAIL: %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
  fi
}

for file in tests/*.sh; do
  . "./$file"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
