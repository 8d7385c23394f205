#!/usr/bin/env python3
"""Writes the files of `shared/decode/tests/dicom`: each a small picture that is not of anybody, and beside it what it is
shown as, as a PNG file.

    python3 -m venv venv && venv/bin/pip install -r tests/dicom/requirements.txt
    venv/bin/python tests/dicom/golden.py
"""

import pathlib
import struct
import zlib

import cases
import numpy as np

FOLDER = pathlib.Path(__file__).parents[2] / "shared/decode/tests/dicom"


def png(pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def main():
    FOLDER.mkdir(exist_ok=True)
    for old in [*FOLDER.glob("*.dcm"), *FOLDER.glob("*.png")]:
        old.unlink()
    for case in cases.photometric():
        name = f"{case.name}{'~' if case.tolerance else ''}"
        case.dataset.save_as(FOLDER / f"{name}.dcm", enforce_file_format=True)
        (FOLDER / f"{name}.png").write_bytes(png(np.ascontiguousarray(case.expected)))
    for case in cases.compressed():
        case.dataset.save_as(FOLDER / f"{case.name}.dcm", enforce_file_format=True)
        (FOLDER / f"{case.name}.png").write_bytes(png(np.ascontiguousarray(case.expected)))


if __name__ == "__main__":
    main()
