#!/bin/sh
# Checks models against onnx's checker and onnxruntime: tests/onnx/run.sh IMAGES MODEL.onnx...
# Exits with 75 if these cannot be installed here.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: $0 IMAGES MODEL.onnx..." >&2
    exit 2
fi
here=$(dirname "$0")
target=${CARGO_TARGET_DIR:-$here/../../target}
python=$target/onnx-venv/bin/python
images=$1
shift
if ! { [ -x "$python" ] || python3 -m venv "$target/onnx-venv"; } ||
    ! "$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"; then
    echo "onnx and onnxruntime cannot be installed (python3 with venv and PyPI are needed)" >&2
    exit 75
fi
cargo build --locked --quiet --manifest-path "$here/../../Cargo.toml" -p host
exec "$python" "$here/check.py" --host "$target/debug/host" --images "$images" "$@"
