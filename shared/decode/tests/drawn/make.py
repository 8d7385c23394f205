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
from PIL import Image, ImageChops

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
# In inks. Those named YCCK hold brightness, differences and black, and say so.
INKS = {
    "inks-cmyk": {},
    "inks-progressive-ycck": {"progressive": True},
}


def film(grey):
    """A film, photographed in warm light."""
    return Image.merge("RGB", (grey, grey.point(lambda v: int(v * 0.95)), grey.point(lambda v: int(v * 0.85) + 8)))


def inks(grey):
    """A film as a printing press has it: half of what all colours have in common is black."""

    def pixel(colours):
        black = (255 - max(colours)) // 2
        return (*(255 - min(255, round(255 * colour / (255 - black))) for colour in colours), black)

    printed = Image.new("CMYK", grey.size)
    printed.putdata([pixel(colours) for colours in film(grey).getdata()])
    return printed


def as_ycck(data):
    """The file with another word for what its colours are, in Adobe's mark."""
    at = data.index(b"Adobe") + 11
    return data[:at] + b"\2" + data[at + 1 :]


for number, path in enumerate(sys.argv[1:3], 1):
    drawn = Image.open(path).convert("L").resize((168, 140), Image.Resampling.LANCZOS)
    for name, options in KINDS.items():
        file = io.BytesIO()
        (drawn if name.endswith("grey") else film(drawn)).save(file, "JPEG", quality=82, **options)
        data = file.getvalue()
        if name.startswith("mozjpeg"):
            data = mozjpeg.optimize(data)
        (pathlib.Path(__file__).parent / f"{name}-{number}.jpg").write_bytes(data)
    for name, options in INKS.items():
        file = io.BytesIO()
        printed = inks(drawn)
        if name.endswith("ycck"):
            # What is saved is inverted, black alone should be.
            *colours, black = printed.split()
            differences = Image.merge("RGB", colours).convert("YCbCr").split()
            printed = Image.merge("CMYK", (*(ImageChops.invert(band) for band in differences), black))
        printed.save(file, "JPEG", quality=82, **options)
        data = file.getvalue()
        (pathlib.Path(__file__).parent / f"{name}-{number}.jpg").write_bytes(as_ycck(data) if name.endswith("ycck") else data)
