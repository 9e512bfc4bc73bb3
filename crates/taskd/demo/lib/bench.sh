#!/bin/sh
# How long it takes to find the words of a text: bench.sh WORDS
set -eu
n=${1-2000}
began=$(date +%s)
found=$(yes "the quick brown fox" | head -n $((n / 4)) | sh "$(dirname "$0")/words.sh" --words | wc -l)
ended=$(date +%s)
echo "$((found)) words in $((ended - began)) s"
