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
images=$1
shift
python=$("$here/../python.sh" onnx -r "$here/requirements.txt")
cargo build --locked --quiet --manifest-path "$here/../../Cargo.toml" -p host
exec "$python" "$here/check.py" --host "$target/debug/pumua" --images "$images" "$@"
