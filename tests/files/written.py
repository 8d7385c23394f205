"""PNG and BMP files of kinds that Pillow does not write."""

import struct
import zlib

import numpy as np

# Where the passes of an interlaced PNG begin in a row and a column, and their steps.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def packed(samples, bits):
    """Rows of samples of so many bits, each row from a new byte on."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        return rows.astype(">u2").view(np.uint8)
    if bits == 8:
        return rows.astype(np.uint8)
    single = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(single.reshape(len(rows), -1).astype(np.uint8), axis=1)


def png(pixels, bits, colour, interlaced=False, between=()):
    """A PNG file of a colour type, with chunks between header and pixels. Rows are filtered in turn by none, left and above."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    samples = pixels.size // (width * height)
    back = max(1, samples * bits // 8)
    data = b""
    for x, y, across, down in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::down, x::across]
        if part.size == 0:
            continue
        above = None
        for number, row in enumerate(packed(part, bits)):
            way = number % 3 if above is not None else number % 2
            before = {0: 0, 1: np.concatenate([np.zeros(back, np.uint8), row[:-back]]) if len(row) > back else 0, 2: above}[way]
            data += bytes([way]) + (row - before).astype(np.uint8).tobytes()
            above = row
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *between, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def bmp(rows, size, bits, palette=b"", compression=0, top_down=False, masks=b""):
    """A BMP file of packed rows, from the top down."""
    width, height = size
    filled = [row + bytes(-len(row) % 4) for row in rows]
    pixels = b"".join(filled if top_down else filled[::-1])
    start = 54 + len(masks) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    return head + info + masks + palette + pixels
