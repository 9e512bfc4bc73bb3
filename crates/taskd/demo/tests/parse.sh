check "parse: blanks part words" "a b" "$(echo ' a  b ' | sh words.sh --words | xargs)"
check "parse: punctuation parts words" "a b" "$(echo 'a,b.' | sh words.sh --words | xargs)"
check "parse: words are in lower case" "the end" "$(echo 'The END' | sh words.sh --words | xargs)"
check "parse: an apostrophe belongs to its word" "don't" "$(echo "don't" | sh words.sh --words)"
