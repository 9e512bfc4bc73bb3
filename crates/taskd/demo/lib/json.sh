# Every word with its count, as one JSON object.
json() {
  words | sort | uniq -c | {
    comma=
    printf '{'
    while read -r count word; do
      printf '%s"%s":%s' "$comma" "$word" "$count"
      comma=,
    done
    printf '}\n'
  }
}
