#!/usr/bin/env python3
"""Writes the JPEG files of this folder: two drawn radiographs, in the ways in which libjpeg-turbo and MozJPEG write them.

    pip install pillow==13.0.0 mozjpeg-lossless-optimization==1.3.2
    cargo run -p host -- synthetic runs/drawn --count 12
    shared/decode/tests/drawn/make.py runs/drawn/NORMAL/synthetic-0000-normal.png runs/drawn/PNEUMONIA/synthetic-0001-pneumonia.png
"""

import io
import pathlib
import sys

import mozjpeg_lossless_optimization as mozjpeg
from PIL import Image

KINDS = {
    "baseline-grey": {},
    "optimized-grey": {"optimize": True},
    "restart-grey": {"restart_marker_blocks": 7},
    "progressive-grey": {"progressive": True},
    "progressive-restart-grey": {"progressive": True, "restart_marker_blocks": 11},
    "baseline-420": {"subsampling": 2},
    "restart-422": {"subsampling": 1, "restart_marker_rows": 1},
    "progressive-420": {"progressive": True, "subsampling": 2},
    "progressive-444": {"progressive": True, "subsampling": 0},
    "mozjpeg-420": {"subsampling": 2},
}


def film(grey):
    """A film, photographed in warm light."""
    return Image.merge("RGB", (grey, grey.point(lambda v: int(v * 0.95)), grey.point(lambda v: int(v * 0.85) + 8)))


for number, path in enumerate(sys.argv[1:3], 1):
    drawn = Image.open(path).convert("L").resize((168, 140), Image.Resampling.LANCZOS)
    for name, options in KINDS.items():
        file = io.BytesIO()
        (drawn if name.endswith("grey") else film(drawn)).save(file, "JPEG", quality=82, **options)
        data = file.getvalue()
        if name.startswith("mozjpeg"):
            data = mozjpeg.optimize(data)
        (pathlib.Path(__file__).parent / f"{name}-{number}.jpg").write_bytes(data)
