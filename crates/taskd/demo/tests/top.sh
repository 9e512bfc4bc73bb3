check "top: the most common one" "2 b" "$(echo 'a b b' | sh words.sh --top 1)"
check "top: equals by name" "1 a 1 b" "$(echo 'b a' | sh words.sh --top 2 | xargs)"
check "top: counts in any case" "2 the" "$(echo 'The the' | sh words.sh --top 5)"
