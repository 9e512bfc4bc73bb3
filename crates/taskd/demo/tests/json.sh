check "json: nothing" "{}" "$(printf '' | sh words.sh --json)"
check "json: counts by word" '{"a":2,"b":1}' "$(echo 'a b a' | sh words.sh --json)"
