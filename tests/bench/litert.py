"""Makes the int8 files of LiteRT: litert.py FOLDER, after models.py and with TensorFlow.

NAME.tflite has full integer arithmetic, calibrated on the same images; NAME-keras.npy holds the logits of the float
network that it was made from. At strides of 2 TensorFlow's `same` padding begins a pixel later than ours: the work is
the same, the values are not.
"""

import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy
import tensorflow


def network(path, side):
    """The Keras model: input `[1, side, side, 1]`, output the logit."""
    stored = numpy.load(path)
    image = keras.Input((side, side, 1), batch_size=1)
    tensor = image
    for index, layer in enumerate(json.loads(str(stored["layers"]))):
        arrays = [stored[f"{index}.{part}"] for part in ("weights", "bias") if f"{index}.{part}" in stored]
        match layer["kind"]:
            case "Conv":
                weights, bias = arrays
                options = dict(
                    strides=layer["stride"], padding="same" if layer["pad"] else "valid", activation="relu"
                )
                if layer["groups"] == 1:
                    made = keras.layers.Conv2D(len(weights), weights.shape[2], **options)
                    weights = weights.transpose(2, 3, 1, 0)
                else:
                    made = keras.layers.DepthwiseConv2D(weights.shape[2], **options)
                    weights = weights.transpose(2, 3, 0, 1)
            case "Pool":
                made = keras.layers.MaxPool2D()
            case "Average":
                made = keras.layers.GlobalAveragePooling2D()
            case "Dense":
                weights, bias = arrays
                if len(tensor.shape) == 4:
                    # Ours are flattened by channel, row, column; Keras flattens by row, column, channel.
                    _, height, width, channels = tensor.shape
                    weights = weights.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
                    weights = weights.reshape(len(weights), -1)
                    tensor = keras.layers.Flatten()(tensor)
                made = keras.layers.Dense(len(weights), activation="relu" if layer["relu"] else None)
                weights = weights.T
        tensor = made(tensor)
        if arrays:
            made.set_weights([weights, bias])
    return keras.Model(image, tensor)


def images(path, side):
    pixels = numpy.fromfile(path, numpy.uint8).reshape(-1, 1, side, side, 1)
    return pixels.astype(numpy.float32) / numpy.float32(255)


def make(folder, name, side):
    model = network(folder / f"{name}.npz", side)
    logits = [model(image).numpy().item() for image in images(folder / f"{name}.u8", side)]
    numpy.save(folder / f"{name}-keras.npy", numpy.array(logits, numpy.float32))
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    calibration = images(folder / f"{name}-calibration.u8", side)
    # The whole range of the pixels is part of the calibration, as it is of the other files.
    extremes = [numpy.zeros_like(calibration[:1][0]), numpy.ones_like(calibration[:1][0])]
    converter.representative_dataset = lambda: ([image] for image in [*calibration, *extremes])
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    (folder / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for entry in json.loads((folder / "models.json").read_text()):
        make(folder, entry["name"], entry["side"])
