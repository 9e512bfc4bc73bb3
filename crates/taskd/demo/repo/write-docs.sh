#!/bin/sh
# Stands for any program that can work on a task: the prompt comes on stdin, the work is the files
# it leaves. It takes its time, so that others land meanwhile.
set -eu
prompt=$(cat)
echo "read the task, ${#prompt} characters"
mkdir -p docs
{
  echo "| option | prints |"
  echo "|---|---|"
  echo "| \`--words\` | one word a line, in lower case |"
  echo "| \`--count\` | how many words |"
  echo "| \`--top N\` | the N most common words |"
  echo "| \`--json\` | every word with its count, as JSON |"
} > docs/options.md
for option in words count top json; do
  sleep @PAUSE@
  echo "checked --$option"
done
