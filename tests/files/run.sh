#!/usr/bin/env bash
# Compares the pixels of TIFF, BMP, PNG, JPEG and WebP files with those that Pillow and tifffile wrote, or make of them. Ends
# with 75, and says why, where these cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v python3 >/dev/null; then
    echo "no python3 (Debian's package python3-venv has it)"
    exit 75
fi
target=${CARGO_TARGET_DIR:-target}
python=$target/files-venv/bin/python
if ! { [ -x "$python" ] || python3 -m venv "$target/files-venv"; } >&2 ||
    ! "$python" -m pip install --quiet --disable-pip-version-check -r tests/files/requirements.txt >&2; then
    echo "Pillow and tifffile cannot be installed (python3 with venv and PyPI are needed)"
    exit 75
fi
cargo build --locked --quiet --package decode --example pixels
PYTHONDONTWRITEBYTECODE=1 "$python" tests/files/check.py "$target/debug/examples/pixels"
