#!/bin/sh
# Compares this engine with others in one run: tests/bench/run.sh [--short] [--litert] [--size] [--peers] [--rounds N]
# [--only MODELS] [--json FILE] [--at-most RATIO]. The report (Markdown) goes to standard output.
#
#   --short    two models, few rounds, with what the tests of the workspace have compiled: fails also if an engine is faster than this one.
#              Without it everything is optimised, which takes minutes to compile
#   --litert   make LiteRT's files, too: installs TensorFlow (600 MB) for that; later runs find the files
#   --size     with --short: build and measure a release program as well
#   --peers    install and build the other engines, and do nothing else
#   --rounds, --only, --json, --at-most   as bench.py says
#
# PUMUA_BENCH_PYTHON and PUMUA_BENCH_TENSORFLOW name Pythons that have what requirements.txt and requirements-peers.txt, and
# requirements-tensorflow.txt list, instead of virtual environments made here.
# Exits with 75 if these cannot be installed here, with 1 if an engine computes something else. OpenVINO, ncnn and MNN are left
# out, and the report says so, where they cannot be installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
export CARGO_TARGET_DIR="$target"
models=$target/bench-models

litert=no short=no size=no peers=no
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
        --litert) litert=yes ;;
        --size) size=yes ;;
        --short) short=yes ;;
        --peers) peers=yes ;;
        *) set -- "$@" "$argument" ;;
    esac
done

built=$target/debug optimised=
if [ $short = yes ]; then
    # What is given comes last and counts.
    set -- --only shipped,baseline --rounds 10 --at-most 1 "$@"
else
    built=$target/release optimised=--release size=yes
fi

python=${PUMUA_BENCH_PYTHON:-$("$here/../python.sh" bench -r "$here/requirements.txt")}
if [ -z "${PUMUA_BENCH_PYTHON:-}" ]; then
    # Without what they depend on: they run without it, and pnnx would bring torch.
    while read -r package; do
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$package" </dev/null >&2 ||
            echo "left out: $package cannot be installed here" >&2
    done <"$here/requirements-peers.txt"
fi
# rten on its own, in a folder of its own: it must not change the features with which this engine's dependencies are compiled, and is built
# while others build. All of it is optimised.
cargo build --locked --quiet --release --manifest-path "$here/Cargo.toml" --target-dir "$target/rten" -p rten-worker
if [ $peers = yes ]; then
    exit
fi
export PYTHONDONTWRITEBYTECODE=1
"$python" "$here/models.py" "$here/../../models/pumua.onnx" "$models"
"$python" "$here/convert.py" "$models" >&2
if [ $litert = yes ]; then
    tensorflow=${PUMUA_BENCH_TENSORFLOW:-$("$here/../python.sh" tensorflow -r "$here/requirements-tensorflow.txt")}
    "$tensorflow" "$here/litert.py" "$models" >"$models/tensorflow.log" 2>&1 || {
        tail -n 20 "$models/tensorflow.log" >&2
        exit 1
    }
fi

cd "$here"
cargo build --locked --quiet $optimised -p worker
if [ $size = yes ]; then
    cargo build --locked --quiet --release -p worker --bin minimal
    set -- "$@" --release "$target/release/minimal"
fi
exec "$python" "$here/bench.py" --folder "$models" --lock "$here/Cargo.lock" \
    --worker "$built/worker" --rten "$target/rten/release/rten-worker" --minimal "$built/minimal" "$@"
