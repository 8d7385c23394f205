#!/bin/sh
# Checks the engine's golden logits against onnxruntime: tests/onnx/golden.sh [--write].
# Exits with 75 if it cannot be installed here.
set -eu
here=$(dirname "$0")
python=$("$here/../python.sh" onnx -r "$here/requirements.txt")
exec "$python" "$here/golden.py" "$@"
