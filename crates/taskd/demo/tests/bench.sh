check "bench: says how many words" "100 words in" "$(sh bench.sh 100 | cut -d' ' -f1-3)"
