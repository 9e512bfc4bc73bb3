#!/bin/sh
# A word counter: reads a text, prints what its option asks for.
set -eu
LC_ALL=C
export LC_ALL

usage() {
  echo "usage: words.sh --help"
}

case "${1-}" in
  --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
