"""Makes the files of ncnn and MNN of the float ONNX files: convert.py FOLDER, after models.py.

An engine whose packages are not installed is left out.

  NAME-ncnn-f32    what pnnx, ncnn's converter, writes: .param and .bin
  NAME-ncnn-w8     int8: weights of 8 bits per channel, activations of 8 bits
  NAME-ncnn-w6     int8 as ncnn2table and ncnn2int8 write it: 6 bits for the weights of 3 x 3 convolutions, because
                   ncnn's integer form of Winograd would overflow with more
  NAME-mnn-f32.mnn what mnnconvert writes
  NAME-mnn-i8.mnn  int8, by mnnquant: of its methods KL and EMA the one whose logits are nearer to the float network's

ncnn's packages have no ncnn2table and no ncnn2int8, so their work is done here: the largest magnitude of each input, as
of the other files' activations, is 127 steps, and convolutions that follow each other hand on integers. Both quantizers
see the images on which the other files were calibrated. MNN's third method, ADMM, ends in a segmentation fault.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx

from bench import Mnn, Onnxruntime

# What ncnn writes before int8 weights.
INT8 = numpy.uint32(0x000D4B38)


def convert_ncnn(folder, name, side):
    # The package `pnnx` is not imported: it would import torch. The converter in it needs none.
    (package,) = importlib.util.find_spec("pnnx").submodule_search_locations
    converter = pathlib.Path(package) / ("pnnx.exe" if sys.platform == "win32" else "pnnx")
    made = f"{name}-ncnn-f32"
    with tempfile.TemporaryDirectory() as scratch:
        # It writes other files next to what it reads.
        model = pathlib.Path(scratch) / "model.onnx"
        model.write_bytes((folder / f"{name}-f32.onnx").read_bytes())
        run = [converter, "model.onnx", "fp16=0", "ncnnparam=model.param", "ncnnbin=model.bin"]
        quietly(run, scratch)
        for ending in (".param", ".bin"):
            (folder / f"{made}{ending}").write_bytes((pathlib.Path(scratch) / f"model{ending}").read_bytes())
    head, layers = read_param(folder / f"{made}.param")
    data = (folder / f"{made}.bin").read_bytes()
    largest = inputs(folder, name, side, [layer for layer in layers if weighted(layer)])
    for bits, ending in ((8, "w8"), (6, "w6")):
        lines, stored = quantize(layers, data, largest, bits)
        (folder / f"{name}-ncnn-{ending}.param").write_text("\n".join(head + lines) + "\n")
        (folder / f"{name}-ncnn-{ending}.bin").write_bytes(stored)


def read_param(path):
    """The two lines of the head, and the layers: kind, inputs, outputs, attributes and the line itself."""
    lines, layers = path.read_text().splitlines(), []
    for line in lines[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        inputs, end = int(inputs), int(inputs) + int(outputs)
        attributes = dict(word.split("=") for word in rest[end:])
        layers.append((kind, rest[:inputs], rest[inputs:end], attributes, line))
    return lines[:2], layers


def weighted(layer):
    return layer[0] in ("Convolution", "ConvolutionDepthWise", "InnerProduct")


def inputs(folder, name, side, layers):
    """The largest magnitude of each input of these layers, by its name."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads, network.opt.lightmode = 1, False
    network.load_param(str(folder / f"{name}-ncnn-f32.param"))
    network.load_model(str(folder / f"{name}-ncnn-f32.bin"))
    found = {}
    for image in calibration(folder, name, side):
        # Has a name, because ncnn refers to its memory.
        pixels = image.astype(numpy.float32)[None] * numpy.float32(1 / 255)
        values = ncnn.Mat(pixels)
        extractor = network.create_extractor()
        extractor.input("in0", values)
        for _, (blob,), *_ in layers:
            value = values if blob == "in0" else extractor.extract(blob)[1]
            found[blob] = max(found.get(blob, 0), float(numpy.abs(numpy.array(value)).max()))
    return found


def quantize(layers, data, largest, bits):
    """The lines and the data of the int8 network, of those of the float one."""
    lines, stored, at = [], [], 0

    def take(count, kind=numpy.float32):
        nonlocal at
        values = numpy.frombuffer(data, kind, count, at)
        at += values.nbytes
        return values

    # Convolutions that read the output of another layer directly.
    readers = {blob for kind, (blob,), *_ in filter(weighted, layers) if kind != "InnerProduct"}
    for kind, source, output, attributes, line in layers:
        if not weighted((kind,)):
            lines.append(line)
            continue
        count = int(attributes["0"])
        if take(1, numpy.uint32)[0] != 0:
            raise ValueError("the weights of a float network of ncnn should be f32")
        weights = take(int(attributes["2" if kind == "InnerProduct" else "6"])).reshape(count, -1)
        bias = take(count)
        winograd = kind == "Convolution" and attributes["1"] == "3" and attributes["3"] == "1"
        limit = 31 if winograd and bits == 6 else 127
        scale = (limit / numpy.abs(weights).max(1)).astype(numpy.float32)
        quantized = numpy.rint(weights * scale[:, None]).astype(numpy.int8).tobytes()
        term = 1 if kind == "ConvolutionDepthWise" else 2
        scales = [scale, numpy.float32(127 / largest[source[0]])]
        if kind != "InnerProduct" and output[0] in readers:
            term += 100
            scales.append(numpy.float32(127 / largest[output[0]]))
        lines.append(f"{line} 8={term}")
        stored += [INT8.tobytes(), quantized, bytes(-len(quantized) % 4), bias.tobytes()]
        stored += [values.tobytes() for values in scales]
    if at != len(data):
        raise ValueError("the data of a float network of ncnn has more than its layers")
    return lines, b"".join(stored)


def convert_mnn(folder, name, side):
    """MNN computes the sigmoid in the place of the logit, which is then lost: its networks end at the logit."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        model = onnx.load(folder / f"{name}-f32.onnx")
        del model.graph.node[-1], model.graph.output[-1]
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, scratch / "model.onnx")
        images = scratch / "images"
        images.mkdir()
        pictures = calibration(folder, name, side)
        for index, image in enumerate(pictures):
            # As a portable grey map.
            (images / f"{index}.pgm").write_bytes(b"P5 %d %d 255\n" % (side, side) + image.tobytes())
        settings = {
            "format": "GRAY",
            "mean": [0.0],
            "normal": [1 / 255],
            "width": side,
            "height": side,
            "path": f"{images}/",
            "used_image_num": len(pictures),
            "batch_size": 4,
            "weight_quantize_method": "MAX_ABS",
        }
        whole = folder / f"{name}-mnn-f32.mnn"
        # The tools do not say by their exit status that they have failed.
        whole.unlink(missing_ok=True)
        paths = ["--modelFile", scratch / "model.onnx", "--MNNModel", whole]
        tool("mnnconvert", "-f", "ONNX", *paths, "--bizCode", "bench")
        logits = Onnxruntime(str(folder / f"{name}-f32.onnx"), pictures).logits()
        differences = {}
        for method in ("KL", "EMA"):
            steps, chosen = scratch / f"{method}.mnn", settings | {"feature_quantize_method": method}
            (scratch / "quantization.json").write_text(json.dumps(chosen))
            tool("mnnquant", whole, steps, scratch / "quantization.json")
            differences[steps] = float(numpy.abs(Mnn(steps, pictures).logits() - logits).max())
        nearest = min(differences, key=differences.get)
        (folder / f"{name}-mnn-i8.mnn").write_bytes(nearest.read_bytes())


def tool(name, *arguments):
    """Runs a tool of MNN. Not by `MNN.tools`: that calls pip for another package, to report to Alibaba what was done."""
    run = f"import _tools, sys; _tools.{name}(['{name}', *sys.argv[1:]])"
    quietly([sys.executable, "-c", run, *arguments], None)


def quietly(command, folder):
    """Runs a converter, whose output is shown only if it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
        sys.exit(f"{command[0]} has failed with {done.returncode}")


def calibration(folder, name, side):
    return numpy.fromfile(folder / f"{name}-calibration.u8", numpy.uint8).reshape(-1, side, side)


def installed(*packages):
    return all(importlib.util.find_spec(package) for package in packages)


def convert(folder):
    for entry in json.loads((folder / "models.json").read_text()):
        name, side = entry["name"], entry["side"]
        if installed("ncnn", "pnnx"):
            convert_ncnn(folder, name, side)
        if installed("MNN"):
            convert_mnn(folder, name, side)


if __name__ == "__main__":
    convert(pathlib.Path(sys.argv[1]))
