"""Makes the models of the comparison: models.py SHIPPED.onnx FOLDER

The shipped model is taken as it is; the others have Gaussian weights and scales calibrated on smooth random images, so
that their activations use the range of a trained network. Of each model there are

  NAME-f32.onnx   float
  NAME-i8.onnx    what `pumua quantize` writes: QLinearConv, i8 activations with zero point 0, i8 weights per channel
  NAME-u8.onnx    what onnxruntime runs fastest without saturating: u8 activations, weights of 7 bits, its own operators
                  for dense layers and averages
  NAME-qdq.onnx   what OpenVINO reads as int8, for it takes no QLinearConv: float operators between QuantizeLinear and
                  DequantizeLinear, with the scales and the weights of u8
  NAME.npz        the layers, for litert.py
  NAME.u8         8-bit images; NAME-calibration.u8 those that scales are calibrated on

convert.py makes the files of ncnn and MNN of the float ones.
"""

import dataclasses
import io
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

IMAGES = 5
CALIBRATION = 16
PIXEL_SCALE = numpy.float32(1 / 255)


@dataclasses.dataclass
class Conv:
    """Convolution and ReLU. Weights `[outputs, inputs / groups, height, width]`."""

    weights: numpy.ndarray
    bias: numpy.ndarray
    stride: int = 1
    pad: int = 0
    groups: int = 1


@dataclasses.dataclass
class Pool:
    """The largest of 2 x 2."""


@dataclasses.dataclass
class Average:
    """The mean of each channel's map."""


@dataclasses.dataclass
class Dense:
    """Dense layer on the flattened map. Weights `[outputs, inputs]`, the inputs in the order channel, row, column."""

    weights: numpy.ndarray
    bias: numpy.ndarray
    relu: bool


class Builder:
    """A network with Gaussian weights, after He et al. (2015), doi:10.1109/ICCV.2015.123."""

    def __init__(self, side, seed):
        self.random = numpy.random.default_rng(seed)
        self.side, self.map, self.layers = side, (1, side, side), []

    def gaussian(self, *shape):
        fan_in = numpy.prod(shape[1:])
        return self.random.normal(0, numpy.sqrt(2 / fan_in), shape).astype(numpy.float32)

    def bias(self, outputs):
        return self.random.normal(0, 0.05, outputs).astype(numpy.float32)

    def add(self, layer):
        self.layers.append(layer)
        self.map = output_shape(layer, self.map)
        return self

    def conv(self, outputs, kernel=3, stride=1, pad=0, groups=1):
        weights = self.gaussian(outputs, self.map[0] // groups, kernel, kernel)
        return self.add(Conv(weights, self.bias(outputs), stride, pad, groups))

    def separable(self, outputs, stride=1):
        channels = self.map[0]
        return self.conv(channels, 3, stride, 1, channels).conv(outputs, 1)

    def dense(self, outputs, relu=True):
        return self.add(Dense(self.gaussian(outputs, int(numpy.prod(self.map))), self.bias(outputs), relu))

    def logit(self):
        return self.dense(1, relu=False)


def output_shape(layer, shape):
    channels, height, width = shape
    match layer:
        case Conv():
            kernel = layer.weights.shape[2]
            size = lambda n: (n + 2 * layer.pad - kernel) // layer.stride + 1
            return layer.weights.shape[0], size(height), size(width)
        case Pool():
            return channels, height // 2, width // 2
        case Average():
            return channels, 1, 1
        case Dense():
            return layer.weights.shape[0], 1, 1


def macs(side, layers):
    """Multiply-accumulates of one image, by the definition of convolutions and dense layers; averages do not count."""
    shape, total = (1, side, side), 0
    for layer in layers:
        shape = output_shape(layer, shape)
        if isinstance(layer, Conv | Dense):
            total += layer.weights.size * shape[1] * shape[2]
    return total


def study_baseline():
    network = Builder(64, 1)
    for outputs in (32, 32, 64):
        network.conv(outputs).add(Pool())
    return network.dense(64).logit()


def study_deeper():
    network = Builder(64, 2)
    for outputs in (32, 32, 64, 64):
        network.conv(outputs).add(Pool())
    return network.dense(128).dense(128).logit()


def plain_39m():
    network = Builder(96, 3)
    for outputs in (16, 32, 64, 128):
        network.conv(outputs, pad=1).add(Pool())
    return network.conv(128, pad=1).add(Average()).logit()


def plain_150m():
    network = Builder(128, 4)
    network.conv(32, pad=1).add(Pool()).conv(32, pad=1).add(Pool())
    network.conv(64, pad=1).conv(64, pad=1).add(Pool())
    network.conv(96, pad=1).conv(128, pad=1).add(Pool())
    return network.conv(128, pad=1).add(Average()).logit()


def separable():
    network = Builder(128, 5).conv(16, stride=2, pad=1)
    for outputs, stride in [(32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (256, 1), (256, 1)]:
        network.separable(outputs, stride)
    return network.add(Average()).logit()


def smooth_images(count, side, seed):
    """Sums of slow waves with a little noise, `[count, side, side]`, 8 bits."""
    random = numpy.random.default_rng(seed)
    y, x = numpy.meshgrid(*[numpy.linspace(0, 1, side)] * 2, indexing="ij")
    images = []
    for _ in range(count):
        image = random.normal(0, 0.05, (side, side))
        for frequency in range(1, 9):
            fy, fx = random.normal(0, frequency, 2)
            image += numpy.cos(2 * numpy.pi * (fy * y + fx * x + random.random())) / frequency
        image -= image.min()
        images.append(numpy.round(image / image.max() * random.uniform(128, 255)).astype(numpy.uint8))
    return numpy.stack(images)


class Writer:
    """An ONNX graph in the making: a chain of nodes."""

    def __init__(self):
        self.nodes, self.constants, self.tensor = [], [], "image"

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(numpy.asarray(values), name))
        return name

    def push(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, [self.tensor, *inputs], [output], output, **attributes))
        self.tensor = output

    def finish(self, side, card, path):
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(
            self.nodes,
            "bench",
            [value("image", [1, 1, side, side])],
            [value("logit", [1, 1]), value("probability", [1, 1])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
        used = {node.domain for node in self.nodes}
        model = helper.make_model(graph, opset_imports=[o for o in opsets if o.domain in used], ir_version=8)
        helper.set_model_props(model, {"pumua.card": json.dumps(card)})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def window(conv):
    kernel = list(conv.weights.shape[2:])
    return dict(
        kernel_shape=kernel, strides=[conv.stride] * 2, dilations=[1, 1], pads=[conv.pad] * 4, group=conv.groups
    )


POOL = dict(kernel_shape=[2, 2], strides=[2, 2], dilations=[1, 1], pads=[0] * 4)


def card(name, side, int8):
    return {
        "name": name,
        "version": "0.1.0",
        "contract": {"side": side, "fit": "stretch", "scale": float(PIXEL_SCALE), "zero_point": 0},
        "point": {"threshold": 0.5, "refer_from": 0.25, "refer_to": 0.75},
        "labels": ["normal", "pneumonia"],
        "synthetic": True,
        "int8": int8,
        "recipe": "Gaussian weights, for timing only",
        "seed": 0,
        "split": "none",
        "data_digest": "",
        "metrics": {},
    }


def write_float(name, side, layers, path):
    """Returns the names of the layers' outputs."""
    writer, observed, flat = Writer(), [], False
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        if isinstance(layer, Conv | Dense):
            parts = [
                writer.constant(f"layer{index}.{part}", getattr(layer, part)) for part in ("weights", "bias")
            ]
        match layer:
            case Conv():
                writer.push("Conv", parts, f"layer{index}", **window(layer))
                writer.push("Relu", [], f"relu{index}")
            case Pool():
                writer.push("MaxPool", [], f"layer{index}", **POOL)
            case Average():
                writer.push("GlobalAveragePool", [], f"layer{index}")
            case Dense():
                if not flat:
                    writer.push("Flatten", [], f"flat{index}")
                    flat = True
                writer.push("Gemm", parts, "logit" if last else f"layer{index}", transB=1)
                if layer.relu:
                    writer.push("Relu", [], f"relu{index}")
        observed.append(writer.tensor)
    writer.push("Sigmoid", [], "probability")
    writer.finish(side, card(name, side, False), path)
    return observed


def calibrate(path, observed, side):
    """The scale of each layer's output: the largest magnitude is 127 steps."""
    model = onnx.load(path)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in observed if name not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    largest = numpy.zeros(len(observed), numpy.float32)
    for image in smooth_images(CALIBRATION, side, 7):
        values = session.run(observed, {"image": image.astype(numpy.float32)[None, None] * PIXEL_SCALE})
        largest = numpy.maximum(largest, [numpy.abs(value).max() for value in values])
    return [numpy.float32(value / 127) for value in largest]


def quantize_filters(weights, bias, x_scale, limit):
    """i8 weights, i32 biases and the scale of each output channel."""
    rows = weights.reshape(weights.shape[0], -1)
    scale = (numpy.abs(rows).max(1) / limit).astype(numpy.float32)
    quantized = numpy.clip(numpy.rint(rows / scale[:, None]), -limit, limit).astype(numpy.int8)
    steps = numpy.rint(bias.astype(numpy.float64) / (numpy.float64(x_scale) * scale)).astype(numpy.int32)
    return quantized.reshape(weights.shape), steps, scale


def write_i8(name, side, layers, scales, path):
    writer, shape = Writer(), (1, side, side)
    x_scale, x_name = numpy.float32(1 / 127), writer.constant("image_scale", numpy.float32(1 / 127))
    zero = writer.constant("zero", numpy.int8(0))
    writer.push("QuantizeLinear", [x_name, zero], "image_int8")
    for index, (layer, y_scale) in enumerate(zip(layers, scales)):
        if isinstance(layer, Pool):
            writer.push("MaxPool", [], f"pool{index}", **POOL)
            shape = output_shape(layer, shape)
            continue
        match layer:
            case Conv():
                weights, bias, scale = quantize_filters(layer.weights, layer.bias, x_scale, 127)
                conv = dataclasses.replace(layer, weights=weights)
            case Dense():
                weights, bias, scale = quantize_filters(layer.weights, layer.bias, x_scale, 127)
                conv = Conv(weights.reshape(-1, *shape), bias)
            case Average():
                channels, height, width = shape
                bias = numpy.zeros(channels, numpy.int32)
                scale = numpy.full(channels, 1 / (height * width), numpy.float32)
                conv = Conv(numpy.ones((channels, 1, height, width), numpy.int8), bias, groups=channels)
        constant = lambda part, values: writer.constant(f"conv{index}.{part}", values)
        y_name = constant("scale", y_scale)
        weights = constant("weight", conv.weights), constant("weight_scale", scale)
        weight_zero = constant("weight_zero", numpy.zeros(len(bias), numpy.int8))
        inputs = [x_name, zero, *weights, weight_zero, y_name, zero, constant("bias", bias)]
        writer.push("QLinearConv", inputs, f"conv{index}", **window(conv))
        if isinstance(layer, Conv) or isinstance(layer, Dense) and layer.relu:
            writer.push("Relu", [], f"relu{index}")
        x_scale, x_name, shape = y_scale, y_name, output_shape(layer, shape)
    writer.push("DequantizeLinear", [x_name, zero], "map")
    writer.push("Flatten", [], "logit")
    writer.push("Sigmoid", [], "probability")
    writer.finish(side, card(name, side, True), path)


def write_u8(name, side, layers, scales, path):
    """ReLU is the lower end of u8; the logit alone has a sign. 255 * 63 * 2 < 32768: no pair of products saturates."""
    writer, flat = Writer(), False
    x_scale, x_name = PIXEL_SCALE, writer.constant("image_scale", PIXEL_SCALE)
    unsigned, signed = writer.constant("zero", numpy.uint8(0)), writer.constant("middle", numpy.uint8(128))
    writer.push("QuantizeLinear", [x_name, unsigned], "image_uint8")
    for index, (layer, scale) in enumerate(zip(layers, scales)):
        constant = lambda part, values: writer.constant(f"layer{index}.{part}", values)
        if isinstance(layer, Pool):
            writer.push("MaxPool", [], f"layer{index}", **POOL)
            continue
        negative = isinstance(layer, Dense) and not layer.relu
        y_scale, y_zero = (scale, signed) if negative else (numpy.float32(scale * 127 / 255), unsigned)
        y_name = constant("scale", y_scale)
        if isinstance(layer, Average):
            inputs = [x_name, unsigned, y_name, y_zero]
            writer.push(
                "QLinearGlobalAveragePool", inputs, f"layer{index}", domain="com.microsoft", channels_last=0
            )
        else:
            weights, bias, weight_scale = quantize_filters(layer.weights, layer.bias, x_scale, 63)
            weights = constant("weight", weights), constant("weight_scale", weight_scale)
            weight_zero = constant("weight_zero", numpy.zeros(len(bias), numpy.int8))
            bias = constant("bias", bias)
            if isinstance(layer, Conv):
                inputs = [x_name, unsigned, *weights, weight_zero, y_name, y_zero, bias]
                writer.push("QLinearConv", inputs, f"layer{index}", **window(layer))
            else:
                if not flat:
                    writer.push("Flatten", [], f"flat{index}")
                    flat = True
                inputs = [x_name, unsigned, *weights, weight_zero, bias, y_name, y_zero]
                writer.push("QGemm", inputs, f"layer{index}", domain="com.microsoft", transB=1)
        x_scale, x_name, x_zero = y_scale, y_name, y_zero
    writer.push("DequantizeLinear", [x_name, x_zero], "logit")
    writer.push("Sigmoid", [], "probability")
    writer.finish(side, card(name, side, True), path)


def write_qdq(name, side, layers, scales, path):
    """Every layer's input is in steps of u8, the logit is float."""
    writer, flat = Writer(), False
    unsigned = writer.constant("zero", numpy.uint8(0))

    def in_steps(part, scale):
        y_name = writer.constant(f"{part}.scale", scale)
        writer.push("QuantizeLinear", [y_name, unsigned], f"{part}.uint8")
        writer.push("DequantizeLinear", [y_name, unsigned], f"{part}.steps")

    in_steps("image", PIXEL_SCALE)
    for index, (layer, scale) in enumerate(zip(layers, scales)):
        last = index == len(layers) - 1
        constant = lambda part, values: writer.constant(f"layer{index}.{part}", values)
        if isinstance(layer, Pool):
            # Its input is in steps, so its output is.
            writer.push("MaxPool", [], f"layer{index}", **POOL)
            continue
        if isinstance(layer, Average):
            writer.push("GlobalAveragePool", [], f"layer{index}")
        else:
            # The scale of the input matters for the steps of the bias only, and the bias is float here.
            weights, _, weight_scale = quantize_filters(layer.weights, layer.bias, scale, 63)
            inputs = [constant("weight", weights), constant("weight_scale", weight_scale)]
            inputs.append(constant("weight_zero", numpy.zeros(len(weights), numpy.int8)))
            name_of = f"layer{index}.weights"
            writer.nodes.append(helper.make_node("DequantizeLinear", inputs, [name_of], name_of, axis=0))
            inputs = [name_of, constant("bias", layer.bias)]
            if isinstance(layer, Conv):
                writer.push("Conv", inputs, f"layer{index}", **window(layer))
            else:
                if not flat:
                    writer.push("Flatten", [], f"flat{index}")
                    flat = True
                writer.push("Gemm", inputs, "logit" if last else f"layer{index}", transB=1)
            if isinstance(layer, Conv) or layer.relu:
                writer.push("Relu", [], f"relu{index}")
        if not last:
            in_steps(f"output{index}", numpy.float32(scale * 127 / 255))
    writer.push("Sigmoid", [], "probability")
    writer.finish(side, card(name, side, True), path)


def is_average(weights, bias, shape, groups):
    """Whether a convolution is the mean of each channel's map, times a factor."""
    channels, height, width = shape
    covers = groups == channels and weights.shape == (channels, 1, height, width)
    return covers and not bias.any() and bool((weights == weights[:, :, :1, :1]).all())


def read_i8(path):
    """Side, layers and scales of an int8 file: its numbers, not yet its integers.

    An average of a map is written with a factor for each channel, which the layer after it takes away again. In float it has
    none, so that layer gets the factors, and the average's scale is not known: None.
    """
    model = onnx.load(path)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    shape, layers, scales, factors = (1, side, side), [], [], None
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "MaxPool":
            if attributes["kernel_shape"] != [2, 2] or attributes["strides"] != [2, 2]:
                raise ValueError(f"{path}: only pooling of 2 x 2 can be made again as float")
            layers.append(Pool())
            scales.append(scales[-1])
        elif node.op_type == "QLinearConv":
            x_scale, weights, weight_scale, y_scale, bias = (constants[node.input[i]] for i in (1, 3, 4, 6, 8))
            rows = (-1,) + (1,) * 3
            weights = weights.astype(numpy.float32) * weight_scale.reshape(rows)
            bias = (bias * x_scale.astype(numpy.float64) * weight_scale).astype(numpy.float32)
            relu = nodes[index + 1].op_type == "Relu"
            groups, whole = attributes.get("group", 1), attributes["pads"] == [0] * 4
            if weights.shape[1:] == shape and whole:
                weights = weights.reshape(len(weights), -1)
                layers.append(Dense(weights if factors is None else weights * factors, bias, relu))
                factors = None
            elif is_average(weights, bias, shape, groups) and whole and not relu:
                layers.append(Average())
                scales.append(None)
                factors = weights.sum((1, 2, 3))
                shape = output_shape(layers[-1], shape)
                continue
            elif relu and factors is None:
                stride, pad = attributes["strides"][0], attributes["pads"][0]
                layers.append(Conv(weights, bias, stride, pad, groups))
            else:
                raise ValueError(f"{path}: a convolution without ReLU cannot be made again as float")
            scales.append(y_scale[()])
        else:
            continue
        shape = output_shape(layers[-1], shape)
    return side, layers, scales


def save_layers(path, layers):
    kinds, arrays = [], {}
    for index, layer in enumerate(layers):
        fields = dataclasses.asdict(layer)
        arrays |= {f"{index}.{name}": value for name, value in fields.items() if isinstance(value, numpy.ndarray)}
        plain = {name: value for name, value in fields.items() if not isinstance(value, numpy.ndarray)}
        kinds.append({"kind": type(layer).__name__, **plain})
    stored = io.BytesIO()
    numpy.savez(stored, layers=json.dumps(kinds), **arrays)
    if not path.exists() or path.read_bytes() != stored.getvalue():
        # What litert.py made is of another network.
        path.with_suffix(".tflite").unlink(missing_ok=True)
        path.write_bytes(stored.getvalue())


TITLES = {
    "shipped": "the model that ships",
    "baseline": "the study's baseline",
    "deeper": "the study's deeper network",
    "plain-39m": "plain CNN, 39 million",
    "plain-150m": "plain CNN, 150 million",
    "separable": "depthwise-separable CNN",
}


def make(shipped, folder):
    """Makes all files and `models.json`, which lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    built = {
        "baseline": study_baseline,
        "deeper": study_deeper,
        "plain-39m": plain_39m,
        "plain-150m": plain_150m,
        "separable": separable,
    }
    listed = []
    for name, title in TITLES.items():
        file = lambda ending: str(folder / f"{name}{ending}")
        if name == "shipped":
            side, layers, scales = read_i8(shipped)
            observed = write_float(name, side, layers, file("-f32.onnx"))
            measured = calibrate(file("-f32.onnx"), observed, side)
            scales = [value if scale is None else scale for scale, value in zip(scales, measured)]
            pathlib.Path(file("-i8.onnx")).write_bytes(shipped.read_bytes())
        else:
            network = built[name]()
            side, layers = network.side, network.layers
            observed = write_float(name, side, layers, file("-f32.onnx"))
            scales = calibrate(file("-f32.onnx"), observed, side)
            write_i8(name, side, layers, scales, file("-i8.onnx"))
        write_u8(name, side, layers, scales, file("-u8.onnx"))
        write_qdq(name, side, layers, scales, file("-qdq.onnx"))
        save_layers(folder / f"{name}.npz", layers)
        smooth_images(IMAGES, side, 11).tofile(file(".u8"))
        smooth_images(CALIBRATION, side, 7).tofile(file("-calibration.u8"))
        listed.append({"name": name, "title": title, "side": side, "macs": int(macs(side, layers))})
    (folder / "models.json").write_text(json.dumps(listed, indent=1))


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
