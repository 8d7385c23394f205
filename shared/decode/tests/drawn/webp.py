#!/usr/bin/env python3
"""Writes the WebP files of this folder from JPEG files in it, as libwebp writes them, and beside the first of each kind what
libwebp decodes it to, as a PNG file.

    pip install pillow==13.0.0
    shared/decode/tests/drawn/webp.py
"""

import pathlib

from PIL import Image

FOLDER = pathlib.Path(__file__).parent


def few(film, colours):
    """A film in few colours, which are written as a table."""
    return film.quantize(colours).convert("RGB")


def faded(film):
    """A film that is transparent where it is dark."""
    film = film.convert("RGBA")
    film.putalpha(film.convert("L"))
    return film


def with_exif(path, film):
    """A film in an extended file that asks for half a turn."""
    exif = Image.Exif()
    exif[0x0112] = 3
    film.save(path, "WEBP", lossless=True, exif=exif)


KINDS = {
    "lossy": lambda path, film: film.save(path, "WEBP", quality=82),
    "lossy-alpha": lambda path, film: faded(film).save(path, "WEBP", quality=60, method=6),
    "lossless": lambda path, film: film.save(path, "WEBP", lossless=True, method=6, quality=100),
    "lossless-grey": lambda path, film: film.convert("L").save(path, "WEBP", lossless=True, method=0, quality=0),
    "lossless-alpha": lambda path, film: faded(film).save(path, "WEBP", lossless=True, exact=True),
    "lossless-13-colours": lambda path, film: few(film, 13).save(path, "WEBP", lossless=True, method=3),
    "lossless-200-colours": lambda path, film: few(film, 200).save(path, "WEBP", lossless=True, method=4, quality=100),
    "lossless-turned": with_exif,
}
# Two files of these are damaged and joined.
PAIRS = ["lossy", "lossless"]


def main():
    for number in [1, 2]:
        film = Image.open(FOLDER / f"baseline-420-{number}.jpg").convert("RGB")
        for name, write in KINDS.items():
            if number == 2 and name not in PAIRS:
                continue
            path = FOLDER / f"{name}-{number}.webp"
            write(path, film)
            if number == 1:
                # The colours, also where they are transparent; not turned.
                Image.open(path).convert("RGBA").convert("RGB").save(path.with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
