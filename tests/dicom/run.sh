#!/usr/bin/env bash
# Compares the pixels of DICOM files with pydicom's: of files by pydicom, dcmtk and, where it is there, gdcm, and pydicom's own.
# Then reads the reports with highdicom that `pumua serve` sends to an archive.
# Ends with 75, and says why, where the others cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in dcmconv dcmcjpeg dcmcrle dcmcjpls storescp; do
    if ! command -v "$tool" >/dev/null; then
        echo "no $tool (Debian's package dcmtk has it)"
        exit 75
    fi
done
target=${CARGO_TARGET_DIR:-target}
python=$(tests/python.sh dicom -r tests/dicom/requirements.txt)
cargo build --locked --quiet --package decode --example pixels
export PYTHONDONTWRITEBYTECODE=1
"$python" tests/dicom/check.py "$target/debug/examples/pixels"
cargo build --locked --quiet --package host
"$python" tests/dicom/report.py "$target/debug/pumua" tests/models/plain.onnx
