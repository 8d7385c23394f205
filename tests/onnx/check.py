"""Checks a float and an int8 model against onnx's checker and onnxruntime.

The int8 logits must be ours to the bit, with and without onnxruntime's graph optimizations; the float ones within
1e-4. Ours, and the inputs, come from `pumua predict`, so that nothing is computed twice.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime


REFUSED = 3


def ours(host, model, images, inputs):
    """Our logits, and the model's inputs, for the image files; without those that are refused."""
    command = [host, "predict", "--model", model, "--json", "--inputs", inputs, *images]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode not in (0, REFUSED):
        sys.exit(f"pumua predict failed with {done.returncode}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return numpy.array([line["logit"] for line in lines if line["verdict"] != "refused"], numpy.float32)


def theirs(model, images, level):
    """onnxruntime's logits for inputs `[count, 1, side, side]`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    run = lambda image: session.run(["logit"], {"image": image[None]})[0].item()
    return numpy.array([run(image) for image in images], numpy.float32)


def check(host, model, images):
    """True if the model passes."""
    loaded = onnx.load(model)
    onnx.checker.check_model(loaded, full_check=True)
    card = json.loads({p.key: p.value for p in loaded.metadata_props}["pumua.card"])
    contract = card["contract"]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "inputs"
        our_logits = ours(host, model, images, str(path))
        pixels = numpy.fromfile(path, numpy.uint8)
    side, scale = contract["side"], numpy.float32(contract["scale"])
    inputs = (pixels.astype(numpy.float32) - numpy.float32(contract["zero_point"])) * scale
    inputs = inputs.reshape(-1, 1, side, side)
    passed = len(our_logits) == len(inputs) >= len(images) / 2
    levels = onnxruntime.GraphOptimizationLevel
    for name, level in [("without", levels.ORT_DISABLE_ALL), ("with", levels.ORT_ENABLE_ALL)]:
        their_logits = theirs(model, inputs, level)
        largest = float(numpy.abs(our_logits - their_logits).max())
        if card["int8"]:
            equal = int((our_logits.view(numpy.uint32) == their_logits.view(numpy.uint32)).sum())
            agrees, figure = equal == len(inputs), f"{equal} of {len(inputs)} logits equal to the bit"
        else:
            agrees, figure = largest <= 1e-4, f"largest difference of {len(inputs)} logits {largest:.2e}"
        print(f"{card['name']}: {name} graph optimizations: {figure}: {'ok' if agrees else 'FAILED'}")
        passed &= agrees
    print(f"  {len(set(our_logits.tolist()))} distinct logits, {our_logits.min():.3f} to {our_logits.max():.3f}")
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True, help="the host program")
    parser.add_argument("--images", required=True, help="folder of radiographs")
    parser.add_argument("--count", type=int, default=100, help="how many of them")
    parser.add_argument("models", nargs="+", help="ONNX files, float or int8")
    arguments = parser.parse_args()
    kinds = {".jpeg", ".jpg", ".png"}
    images = sorted(str(p) for p in pathlib.Path(arguments.images).rglob("*") if p.suffix.lower() in kinds)
    if not images:
        sys.exit(f"no radiographs below {arguments.images}")
    # Evenly spread, so that both labels are among them.
    images = [images[i * len(images) // arguments.count] for i in range(arguments.count)] if len(
        images) > arguments.count else images
    if not all([check(arguments.host, model, images) for model in arguments.models]):
        sys.exit(1)


if __name__ == "__main__":
    main()
