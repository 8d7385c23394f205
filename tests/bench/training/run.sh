#!/bin/sh
# Compares how fast this program, TensorFlow and PyTorch train the study's baseline or, with --network screener, the
# network that ships, with the augmentation of its recipe and without, in one run:
# tests/bench/training/run.sh [--network NAME] [--rounds N] [--threads LIST] [--only NAMES] [--json FILE], as bench.py
# says. The report (Markdown) goes to standard output.
#
# PUMUA_BENCH_TRAINING names a Python that has what requirements.txt lists, instead of a virtual environment made here
# (several GB).
# Exits with 75 if that cannot be installed here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
export CARGO_TARGET_DIR="$target"

python=${PUMUA_BENCH_TRAINING:-$("$here/../../python.sh" training -r "$here/requirements.txt")}
cargo build --locked --quiet --manifest-path "$here/../../../Cargo.toml" -p learn --example throughput
exec "$python" "$here/bench.py" --host "$target/debug/examples/throughput" "$@"
