check "help begins with usage" "usage:" "$(sh words.sh --help | cut -d' ' -f1)"
check "an unknown option exits with 2" 2 "$(sh words.sh --nonsense 2>/dev/null; echo $?)"
check "an unknown option prints nothing" "" "$(sh words.sh --nonsense 2>/dev/null)"
