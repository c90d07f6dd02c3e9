#!/usr/bin/env bash
# The full run in small: what train.sky.yaml has a rented machine do, with the
# model at its full width but for a few steps, stopped on the way as a machine
# that is taken away stops it, and recorded at the end. So a typing error costs
# minutes here and not an hour there.
#
#   cloud/dry_run.sh CORPUS FOLDER [OPTION OF course prepare]...
#
# for example, from the repository's root and in its environment, on a CPU:
#
#   cloud/dry_run.sh book.txt /tmp/dry --vocab 4096 --tokens 4096 --batch 1024
set -euo pipefail
corpus="$1" folder="$2" run="$2/run"
shift 2
here="$(cd "$(dirname "$0")/.." && pwd)"

course prepare --corpus "$corpus" --preset full --out "$run" "$@"

# Its first step has begun when the first snapshot is there.
course train "$run" --resume &
trainer=$!
until [ -d "$run/snapshots" ]; do
  kill -0 "$trainer"
  sleep 0.2
done
kill -TERM "$trainer"
ended=0
wait "$trainer" || ended=$?
if [ "$ended" != 130 ]; then
  echo "told to stop, the trainer ended with $ended and not with 130" >&2
  exit 1
fi
torchrun --nproc-per-node=1 -m course_lib train "$run" --resume

course evaluate "$run" --json | tee "$folder/evaluation.json"
course sample "$run" --prompt "life is about" --seed 0 |
  tee "$folder/sample.txt"
rm -rf "$folder/gpt-50"
course export "$run" --to "$folder/gpt-50"
python "$here/benchmarks/record_run.py" "$run" dry-run --to "$folder" \
  --prompts 1
