# One word a line.
words() {
  tr -cs '[:alnum:]' '\n' | sed '/^$/d'
}
