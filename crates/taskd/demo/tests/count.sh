check "count: nothing" 0 "$(printf '' | sh words.sh --count)"
check "count: one" 1 "$(echo 'one' | sh words.sh --count)"
check "count: several lines" 3 "$(printf 'a b\nc\n' | sh words.sh --count)"
check "count: the same word twice" 2 "$(echo 'a a' | sh words.sh --count)"
