# One word a line, in lower case; an apostrophe belongs to its word.
words() {
  tr '[:upper:]' '[:lower:]' | tr -cs "[:alnum:]'" '\n' | sed '/^$/d'
}
