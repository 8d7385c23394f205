#!/usr/bin/env bash
# Sends films to the DICOM node of `pumua serve` with senders of other makers: pynetdicom (all that the protocol allows, what it does
# not, a thousand films over eight associations, kills in the middle), gdcmscu, Orthanc. Each must be kept once and have the answer
# of its file. Nothing but temporary folders is written, and all ends with it. Ends with 75, and says why, where pynetdicom cannot be
# had, with which the films are written; a sender that is missing is left out alone.
# `tests/node/run.sh PROGRAM` takes a `pumua` that is built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PATH:/usr/sbin:/sbin
target=${CARGO_TARGET_DIR:-target}
python=$(tests/python.sh node -r tests/node/requirements.txt)
pumua=${1:-}
if [ -z "$pumua" ]; then
    cargo build --locked --quiet --package host
    pumua=$target/debug/pumua
fi
pumua=$(realpath "$pumua")
export PYTHONDONTWRITEBYTECODE=1

# sender NAME: one of the Python programs beside this, which may end with 75 and has then said why
sender() {
    "$python" "tests/node/$1.py" "$pumua" tests/models/plain.onnx || [ $? -eq 75 ]
}

sender by_pynetdicom
sender hostile
sender many
if command -v gdcmscu >/dev/null; then
    sender by_gdcm
else
    echo "left out: no gdcmscu (Debian's package libgdcm-tools has it)"
fi
if command -v Orthanc >/dev/null; then
    sender by_orthanc
else
    echo "left out: no Orthanc (Debian's package orthanc has it)"
fi
echo "$SECONDS s"
