# The N most common words with their counts; equals in the order of the alphabet.
top() {
  words | sort | uniq -c | sort -k1,1nr -k2 | head -n "$1" | sed 's/^ *//'
}
