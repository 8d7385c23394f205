#!/bin/sh
# Compares this engine with others in one run: tests/bench/run.sh [--short] [--litert] [--size] [--rounds N]
# [--only MODELS] [--json FILE] [--at-most RATIO]. The report (Markdown) goes to standard output.
#
#   --short    two models, few rounds: fails also if an engine is faster than this one
#   --litert   make LiteRT's files, too: installs TensorFlow (600 MB) for that; later runs find the files
#   --size     build and measure a release program (takes minutes)
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

litert=no size=no only= rounds=
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
        --litert) litert=yes ;;
        --size) size=yes ;;
        --short) only=shipped,baseline rounds=10 ;;
        *) set -- "$@" "$argument" ;;
    esac
done

# environment FOLDER REQUIREMENTS: a Python with these packages
environment() {
    if ! { [ -x "$1/bin/python" ] || python3 -m venv "$1"; } ||
        ! "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2" >&2; then
        echo "the packages of $2 cannot be installed (python3 with venv and PyPI are needed)" >&2
        exit 75
    fi
    echo "$1/bin/python"
}

# What is given comes last and counts.
if [ -n "$only" ]; then
    set -- --only "$only" --rounds "$rounds" --at-most 1 "$@"
fi

python=${PUMUA_BENCH_PYTHON:-$(environment "$target/bench-venv" "$here/requirements.txt")}
if [ -z "${PUMUA_BENCH_PYTHON:-}" ]; then
    # Without what they depend on: they run without it, and pnnx would bring torch.
    while read -r package; do
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$package" </dev/null >&2 ||
            echo "left out: $package cannot be installed here" >&2
    done <"$here/requirements-peers.txt"
fi
export PYTHONDONTWRITEBYTECODE=1
"$python" "$here/models.py" "$here/../../models/pumua.onnx" "$models"
"$python" "$here/convert.py" "$models" >&2
if [ $litert = yes ]; then
    tensorflow=${PUMUA_BENCH_TENSORFLOW:-$(environment "$target/tensorflow-venv" "$here/requirements-tensorflow.txt")}
    "$tensorflow" "$here/litert.py" "$models" >"$models/tensorflow.log" 2>&1 || {
        tail -n 20 "$models/tensorflow.log" >&2
        exit 1
    }
fi

cd "$here"
# One by one: rten must not change the features with which this engine's dependencies are compiled.
cargo build --locked --quiet -p worker
cargo build --locked --quiet -p rten-worker
if [ $size = yes ]; then
    cargo build --locked --quiet --release -p worker --bin minimal
    set -- "$@" --release "$target/release/minimal"
fi
built=$target/debug
exec "$python" "$here/bench.py" --folder "$models" --lock "$here/Cargo.lock" \
    --worker "$built/worker" --rten "$built/rten-worker" --minimal "$built/minimal" "$@"
