#!/usr/bin/env python3
"""Compares the pixels that the box makes of TIFF, BMP, PNG, JPEG and WebP files with those that were written, or, where some are
lost, with what Pillow makes of them.

    check.py PROGRAM

PROGRAM is the example `pixels` of the crate `decode`. Fails if a pixel differs by more than the case's tolerance, or if a file
is refused that should not be, or the other way round.
"""

import collections
import io
import itertools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tifffile
from PIL import Image, ImageChops, ImageOps
from written import bmp, packed, png

WIDTH, HEIGHT = 91, 70
# No interlacing, blocks, strips or tiles divide these.


def drawing(bits, samples=1):
    """A picture that is not of anybody: slopes, edges and noise, over all shades."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    largest = (1 << bits) - 1
    noise = np.random.default_rng(bits + samples)
    planes = []
    for plane in range(samples):
        slope = (x * (3 + plane) + y * 5) / (WIDTH * (3 + plane) + HEIGHT * 5)
        edges = ((x // 13 + y // 17 + plane) % 3) / 4
        planes.append(np.clip((slope * 0.7 + edges * 0.5) * largest + noise.integers(0, 3, x.shape), 0, largest))
    pixels = np.stack(planes, axis=2).astype(np.uint16 if bits == 16 else np.uint8)
    return pixels[..., 0] if samples == 1 else pixels


def film():
    """A photograph of a film in warm light: colours differ little from place to place."""
    grey = drawing(8).astype(float)
    return np.stack([grey, grey * 0.95, grey * 0.85 + 8], axis=2).astype(np.uint8)


def spread(samples, bits):
    """Samples of so many bits in 16, over all shades."""
    largest = (1 << bits) - 1
    return ((samples.astype(np.uint32) * 65535 + largest // 2) // largest).astype(np.uint16)


class Matrix:
    """Files, and what is expected of them: pixels and a tolerance, or the word of a refusal."""

    def __init__(self, folder):
        self.folder = folder
        self.files = []

    def add(self, name, data, expected, tolerance=0):
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        self.files.append((path, expected, tolerance))
        return path

    def saved(self, name, image, expected, tolerance=0, **options):
        file = io.BytesIO()
        image.save(file, pathlib.Path(name).suffix[1:].replace("jpg", "jpeg"), **options)
        self.add(name, file.getvalue(), expected, tolerance)

    def lossy(self, name, image, tolerance, **options):
        """As Pillow decodes it."""
        file = io.BytesIO()
        image.save(file, pathlib.Path(name).suffix[1:].replace("jpg", "jpeg"), **options)
        self.as_pillow(name, file.getvalue(), tolerance)

    def as_pillow(self, name, data, tolerance):
        decoded = Image.open(io.BytesIO(data))
        mode = "L" if decoded.mode == "L" else "RGB"
        # An alpha channel is left out, not mixed in.
        decoded = decoded.convert("RGBA").convert("RGB") if "A" in decoded.mode else decoded.convert(mode)
        self.add(name, data, np.array(decoded), tolerance)


def tiffs(matrix):
    grey, deep, colours, deep_colours = drawing(8), drawing(16), drawing(8, 3), drawing(16, 3)
    layouts = {"strips": {"rowsperstrip": 9}, "one": {}, "tiles": {"tile": (32, 48)}}
    for compression, (layout, options), order in itertools.product([None, "lzw", "zlib", "packbits"], layouts.items(), "<>"):
        name = f"{compression or 'plain'}-{layout}-{'little' if order == '<' else 'big'}"
        predictors = [False, True] if compression in ["lzw", "zlib"] else [False]
        for (kind, pixels, photometric), predictor in itertools.product(
            [
                ("8", grey, "minisblack"),
                ("16", deep, "minisblack"),
                ("8-white", grey, "miniswhite"),
                ("16-white", deep, "miniswhite"),
                ("rgb", colours, "rgb"),
                ("rgb-16", deep_colours, "rgb"),
            ],
            predictors,
        ):
            path = matrix.folder / f"{kind}-{name}{'-differences' if predictor else ''}.tif"
            tifffile.imwrite(path, pixels, photometric=photometric, compression=compression, predictor=predictor, byteorder=order, metadata=None, **options)
            expected = np.iinfo(pixels.dtype).max - pixels if photometric == "miniswhite" else pixels
            matrix.add(path.name, None, expected)
        path = matrix.folder / f"planes-{name}.tif"
        tifffile.imwrite(
            path, np.moveaxis(colours, 2, 0), photometric="rgb", planarconfig="separate", compression=compression, byteorder=order, metadata=None, **options
        )
        matrix.add(path.name, None, colours)
    for name, pixels, options, expected in [
        ("twelve", deep >> 4, {}, spread(deep >> 4, 12)),
        ("twelve-white", deep >> 4, {"photometric": "miniswhite"}, 65535 - spread(deep >> 4, 12)),
        ("alpha", drawing(8, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, drawing(8, 4)[..., :3]),
        ("grey-alpha", drawing(16, 2), {"extrasamples": ["unassalpha"]}, drawing(16, 2)[..., 0]),
        ("pages", np.stack([grey, grey]), {}, "animated"),
        ("big", grey, {"bigtiff": True}, "unsupported-kind"),
        ("float", grey.astype(np.float32), {}, "unsupported-kind"),
        ("signed", deep.astype(np.int16), {}, "unsupported-kind"),
        ("zstd", grey, {"compression": "zstd"}, "unsupported-kind"),
        ("jpeg", grey, {"compression": "jpeg"}, "unsupported-kind"),
    ]:
        path = matrix.folder / f"{name}.tif"
        tifffile.imwrite(path, pixels, metadata=None, **{"photometric": "minisblack", **options})
        matrix.add(path.name, None, expected)
    palette = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16) * 257
    path = matrix.folder / "palette.tif"
    tifffile.imwrite(path, grey, photometric="palette", colormap=palette, metadata=None)
    matrix.add(path.name, None, (palette.T[grey] // 257).astype(np.uint8))
    # As Pillow writes them.
    for compression in ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]:
        matrix.saved(f"pillow-{compression}.tiff", Image.fromarray(colours), colours, compression=compression)


def bmps(matrix):
    grey, colours = drawing(8), drawing(8, 3)
    size = (WIDTH, HEIGHT)
    palette = bytes(itertools.chain.from_iterable((shade, shade, shade, 0) for shade in range(256)))
    matrix.saved("1.bmp", Image.fromarray(grey).convert("1"), np.array(Image.fromarray(grey).convert("1").convert("L")))
    matrix.saved("8.bmp", Image.fromarray(grey), grey)
    few = Image.fromarray(colours).quantize(256)
    matrix.saved("8-colours.bmp", few, np.array(few.convert("RGB")))
    matrix.saved("24.bmp", Image.fromarray(colours), colours)
    matrix.saved("32.bmp", Image.fromarray(drawing(8, 4)), drawing(8, 4)[..., :3])
    blue_first = [row[:, ::-1].tobytes() for row in colours]
    matrix.add("24-top-down.bmp", bmp(blue_first, size, 24, top_down=True), colours)
    matrix.add("8-top-down.bmp", bmp([row.tobytes() for row in grey], size, 8, palette, top_down=True), grey)
    four = grey >> 4
    shades = bytes(itertools.chain.from_iterable((17 * n, 255 - 17 * n, n, 0) for n in range(16)))
    table = np.array([(n, 255 - 17 * n, 17 * n) for n in range(16)], np.uint8)
    matrix.add("4.bmp", bmp([row.tobytes() for row in packed(four, 4)], size, 4, shades), table[four])
    matrix.add("8-runs.bmp", bmp([b"\0\0"] * HEIGHT, size, 8, palette, compression=1), "unsupported-kind")


def pngs(matrix):
    for interlaced in [False, True]:
        suffix = "-interlaced" if interlaced else ""
        for bits in [1, 2, 4, 8, 16]:
            grey = drawing(bits)
            shown = grey if bits == 16 else (grey.astype(int) * 255 // ((1 << bits) - 1)).astype(np.uint8)
            matrix.add(f"{bits}{suffix}.png", png(grey, bits, 0, interlaced), shown)
            if bits <= 8:
                table = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3), dtype=np.uint8)
                data = png(grey, bits, 3, interlaced, [(b"PLTE", table.tobytes())])
                matrix.add(f"palette-{bits}{suffix}.png", data, table[grey])
                data = png(grey, bits, 3, interlaced, [(b"PLTE", table.tobytes()), (b"tRNS", bytes([0, 99]))])
                matrix.add(f"palette-alpha-{bits}{suffix}.png", data, table[grey])
            else:
                matrix.add(f"twelve{suffix}.png", png(grey >> 4, 16, 0, interlaced), spread(grey >> 4, 12))
            if bits >= 8:
                for colour, samples, told in [(2, 3, 3), (4, 2, 1), (6, 4, 3)]:
                    pixels = drawing(bits, samples)
                    shown = pixels[..., :3] if told == 3 else pixels[..., 0]
                    matrix.add(f"{bits}-{samples}-samples{suffix}.png", png(pixels, bits, colour, interlaced), shown)
    for level in [0, 9]:
        matrix.saved(f"pillow-{level}.png", Image.fromarray(drawing(8, 3)), drawing(8, 3), compress_level=level)


def jpegs(matrix):
    warm, grey = Image.fromarray(film()), Image.fromarray(drawing(8))
    for progressive in [False, True]:
        suffix = "-progressive" if progressive else ""
        for quality in [50, 92]:
            options = {"quality": quality, "progressive": progressive}
            matrix.lossy(f"grey-{quality}{suffix}.jpg", grey, 3, **options)
            for name, subsampling in [("444", 0), ("422", 1), ("420", 2)]:
                matrix.lossy(f"{name}-{quality}{suffix}.jpg", warm, 6, subsampling=subsampling, **options)
        matrix.lossy(f"inks{suffix}.jpg", warm.convert("CMYK"), 6, quality=92, progressive=progressive)
    *colours, black = warm.convert("CMYK").split()
    # What is saved is inverted, black alone should be.
    differences = Image.merge("RGB", colours).convert("YCbCr").split()
    file = io.BytesIO()
    Image.merge("CMYK", (*(ImageChops.invert(band) for band in differences), black)).save(file, "JPEG", quality=92)
    data = file.getvalue()
    at = data.index(b"Adobe") + 11
    matrix.as_pillow("inks-ycck.jpg", data[:at] + b"\2" + data[at + 1 :], 6)


def webps(matrix):
    warm, grey, colours = Image.fromarray(film()), Image.fromarray(drawing(8)), Image.fromarray(drawing(8, 3))
    faded = colours.copy()
    faded.putalpha(grey)
    for quality, method in itertools.product([10, 80, 100], [0, 4, 6]):
        matrix.lossy(f"lossy-{quality}-{method}.webp", warm, 1, quality=quality, method=method)
        matrix.lossy(f"lossy-colours-{quality}-{method}.webp", colours, 1, quality=quality, method=method)
        matrix.lossy(f"lossy-alpha-{quality}-{method}.webp", faded, 1, quality=quality, method=method)
        for name, image in [
            ("grey", grey),
            ("warm", warm),
            ("colours", colours),
            ("alpha", faded),
            *((f"{count}-colours", colours.quantize(count).convert("RGB")) for count in [1, 2, 4, 16, 17, 256]),
        ]:
            matrix.lossy(f"{name}-{quality}-{method}.webp", image, 0, lossless=True, exact=True, quality=quality, method=method)
    for side in [32, 33, 4000]:
        stretched = colours.resize((side, 40))
        matrix.lossy(f"lossy-{side}.webp", stretched, 1)
        matrix.lossy(f"lossless-{side}.webp", stretched, 0, lossless=True)
    matrix.saved("frames.webp", grey, "animated", save_all=True, append_images=[warm])


def turned(matrix):
    """Each rotation that Exif data can ask for."""
    image = Image.fromarray(drawing(8, 3))
    for way in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = way
        for name, options in [("png", {}), ("webp", {"lossless": True}), ("tiff", {})]:
            file = io.BytesIO()
            image.save(file, name, exif=exif, **options)
            expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue())))
            matrix.add(f"turned-{way}.{name}", file.getvalue(), np.array(expected.convert("RGB")))


def compare(expected, tolerance, answer, pixels):
    """What is wrong with an answer, and the greatest difference."""
    words = answer.split()
    if isinstance(expected, str) or len(words) != 4:
        return (None if answer == expected else "not what it should be"), None
    height, width = expected.shape[:2]
    if (int(words[0]), int(words[1])) != (width, height):
        return "another size", None
    samples = np.fromfile(pixels, "<u2").reshape(height, width, int(words[2]))
    if int(words[3]) != 8 * expected.dtype.itemsize:
        return "another depth", None
    # Whether grey is told in one sample or three does not matter.
    wanted = expected if expected.ndim == 3 else expected[..., None]
    if samples.shape[2] not in [1, 3] or wanted.shape[2] not in [1, 3]:
        return "another number of samples", None
    difference = int(np.abs(samples.astype(np.int64) - wanted.astype(np.int64)).max())
    return (None if difference <= tolerance else f"differs by {difference}"), difference


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        matrix = Matrix(folder)
        for kind in [tiffs, bmps, pngs, jpegs, webps, turned]:
            kind(matrix)
        paths = [path for path, _, _ in matrix.files]
        answers = subprocess.run([sys.argv[1], folder, *paths], check=True, capture_output=True, text=True).stdout.splitlines()
        assert len(answers) == len(paths)
        failed, counts = [], collections.Counter()
        for number, ((path, expected, tolerance), answer) in enumerate(zip(matrix.files, answers)):
            wrong, difference = compare(expected, tolerance, answer, folder / f"{number}.raw")
            if wrong:
                failed.append(path.name)
                print(f"{path.name}: {wrong} (answer: {answer})")
            elif difference is None:
                counts["refused as they should be"] += 1
            else:
                counts[f"differ by {difference} at most"] += 1
        for what, count in sorted(counts.items()):
            print(f"{count:4} {what}")
        if failed:
            sys.exit(f"{len(failed)} of {len(paths)} wrong: {', '.join(failed)}")


if __name__ == "__main__":
    main()
