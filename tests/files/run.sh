#!/usr/bin/env bash
# Compares the pixels of TIFF, BMP, PNG, JPEG and WebP files with those that Pillow and tifffile wrote, or make of them. Ends
# with 75, and says why, where these cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
python=$(tests/python.sh files -r tests/files/requirements.txt)
cargo build --locked --quiet --package decode --example pixels
PYTHONDONTWRITEBYTECODE=1 "$python" tests/files/check.py "$target/debug/examples/pixels"
