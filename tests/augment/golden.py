"""Writes `host/src/augment/golden.json`: what Keras' `ImageDataGenerator` makes of small images.

    pip install keras==3.15.1 jax scipy pillow
    KERAS_BACKEND=numpy python tests/augment/golden.py

`apply_transform` gets fixed parameters in our names and units. Its `tx` moves along the width and its `ty` along the
height, although `width_shift_range` is drawn into `ty`; the exchange here is what keeps `width_shift` to the width.
"""

import json
import pathlib

import numpy
from keras.src.legacy.preprocessing.image import ImageDataGenerator

FILE = pathlib.Path(__file__).resolve().parents[2] / "host/src/augment/golden.json"
CASES = [
    {"rotation": 30.0},
    {"rotation": -137.0},
    {"width_shift": 0.2},
    {"height_shift": -0.3},
    {"shear": 25.0},
    {"zoom": [0.8, 1.3]},
    {"horizontal_flip": True},
    {"brightness": 0.6},
    {"brightness": 1.7},
    {"rotation": 20.0, "width_shift": 0.1, "height_shift": -0.15, "shear": 10.0, "zoom": [1.2, 0.9]},
    {"rotation": -40.0, "width_shift": -0.2, "shear": -15.0, "zoom": [0.7, 1.1], "horizontal_flip": True,
     "brightness": 1.4},
]  # fmt: skip


def image(side):
    """The same integers as in the test."""
    row, column = numpy.mgrid[:side, :side]
    return ((row * 37 + column * 101 + row * column * 7) % 256).astype("float32")[..., None]


def keras(side, case):
    """What Keras makes of the image, values in rows."""
    zoom_x, zoom_y = case.get("zoom", [1.0, 1.0])
    parameters = {
        "theta": case.get("rotation", 0.0),
        "tx": case.get("width_shift", 0.0) * side,
        "ty": case.get("height_shift", 0.0) * side,
        "shear": case.get("shear", 0.0),
        "zx": zoom_x,
        "zy": zoom_y,
        "flip_horizontal": case.get("horizontal_flip", False),
        "brightness": case.get("brightness"),
    }
    return ImageDataGenerator().apply_transform(image(side), parameters)


lines = []
for side in [8, 7]:
    for case in CASES:
        expected = [round(float(value), 3) for value in keras(side, case).ravel()]
        lines.append(json.dumps({"side": side, **case, "expected": expected}))
FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")
