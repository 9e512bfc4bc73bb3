#!/bin/sh
# A word counter: reads a text, prints what its option asks for.
set -eu
LC_ALL=C
export LC_ALL
. "$(dirname "$0")/lib/parse.sh"
. "$(dirname "$0")/lib/json.sh"

usage() {
  echo "usage: words.sh --help | --words | --count | --json"
}

case "${1-}" in
  --help) usage ;;
  --words) words ;;
  --count) words | wc -l | tr -d ' ' ;;
  --json) json ;;
  *) usage >&2; exit 2 ;;
esac
