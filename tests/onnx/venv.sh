#!/bin/sh
# Prints the path of a Python with onnx and onnxruntime, which it installs into the target folder.
# Exits with 75 if these cannot be installed here.
set -eu
here=$(dirname "$0")
target=${CARGO_TARGET_DIR:-$here/../../target}
python=$target/onnx-venv/bin/python
if ! { [ -x "$python" ] || python3 -m venv "$target/onnx-venv"; } >&2 ||
    ! "$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2; then
    echo "onnx and onnxruntime cannot be installed (python3 with venv and PyPI are needed)" >&2
    exit 75
fi
echo "$python"
