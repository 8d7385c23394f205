"""Makes the files of cost.sh: a drawn film of 3,000 x 2,500 pixels of 12 bits, in four forms. films.py FOLDER"""

import io
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 2500, 3000


def film():
    """Shades that change slowly, and the noise of a detector."""
    random = np.random.default_rng(1)
    coarse = Image.fromarray(random.uniform(400, 3600, (24, 20)).astype(np.float32), "F")
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return np.clip(smooth + random.normal(0, 12, smooth.shape), 0, 4095).astype(np.uint16)


def element(group, number, vr, value):
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH2s", group, number, vr.encode())
    if vr == "OW":
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def dicom(syntax, pixels):
    def number(group, element_number, value):
        return element(group, element_number, "US", struct.pack("<H", value))

    return b"".join(
        [
            bytes(128) + b"DICM" + element(2, 0x10, "UI", syntax.encode()),
            element(8, 0x60, "CS", b"DX"),
            element(0x18, 0x15, "CS", b"CHEST"),
            number(0x28, 2, 1) + element(0x28, 4, "CS", b"MONOCHROME2"),
            number(0x28, 0x10, HEIGHT) + number(0x28, 0x11, WIDTH),
            number(0x28, 0x100, 16) + number(0x28, 0x101, 12) + number(0x28, 0x102, 11) + number(0x28, 0x103, 0),
            pixels,
        ]
    )


def encapsulated(data):
    def item(value):
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value

    data += b"\0" * (len(data) % 2)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + item(b"") + item(data) + end


def packed(row):
    """Run lengths of one row (PS3.5, annex G)."""
    out, at, row = bytearray(), 0, bytes(row)
    while at < len(row):
        run = 1
        while at + run < len(row) and run < 128 and row[at + run] == row[at]:
            run += 1
        if run > 2:
            out += bytes([257 - run, row[at]])
            at += run
            continue
        end = at
        while end < len(row) and end - at < 128 and row[end : end + 3] != row[end : end + 1] * 3:
            end += 1
        end = max(end, at + 1)
        out += bytes([end - at - 1]) + row[at:end]
        at = end
    return bytes(out)


def run_lengths(samples):
    segments = [b"".join(map(packed, plane.astype(np.uint8))) for plane in (samples >> 8, samples & 255)]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    starts = [2, 64, 64 + len(segments[0])]
    return struct.pack("<16I", *starts, *[0] * 13) + b"".join(segments)


def jpeg_2000(samples):
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "JPEG2000", no_jp2=True, irreversible=False)
    return out.getvalue()


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    samples = film()
    plain = element(0x7FE0, 0x10, "OW", samples.tobytes())
    (folder / "uncompressed.dcm").write_bytes(dicom("1.2.840.10008.1.2.1", plain))
    (folder / "run-lengths.dcm").write_bytes(dicom("1.2.840.10008.1.2.5", encapsulated(run_lengths(samples))))
    (folder / "jpeg-2000.dcm").write_bytes(dicom("1.2.840.10008.1.2.4.90", encapsulated(jpeg_2000(samples))))
    Image.fromarray((samples >> 4).astype(np.uint8)).save(folder / "film.jpg", quality=90)


main(Path(sys.argv[1]))
