"""The golden set of the engine's tests: logits of int8 models, computed by onnxruntime on the CPU.

Without `--write` it checks that onnxruntime still computes what `logits.json` holds. Each logit is kept as the 32 bits of
its float. Images are made from seeds, in the same way here and in `shared/engine/tests/golden.rs`.

The specification are the operators as they stand in the file: graph optimizations are disabled. With them the logits of
these models must be the same to the bit; onnxruntime's own operators that optimizations put in place of a group of
standard ones may round differently, and where they do they are not what is specified.
"""

import argparse
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "shared/engine/tests/golden"
# Paths as the test opens them, from the folder on.
MODELS = ["../../../../models/pumua.onnx", "plain.onnx", "separable.onnx"]
IMAGES = 24


class Random:
    """Knuth's MMIX generator, of which the upper bits are used."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit


def picture(seed, side):
    """A ramp whose direction, level and noise the seed sets: side × side pixels."""
    random = Random(seed)
    down, right, level, noise = [random.below(limit) for limit in (5, 5, 256, 64)]
    pixel = lambda i: (i // side * down + i % side * right + level + random.below(noise + 1)) % 256
    return numpy.array([pixel(i) for i in range(side * side)], numpy.uint8)


def logits(model, level):
    """The bits of the logit of every image."""
    card = json.loads({p.key: p.value for p in onnx.load(model).metadata_props}["pumua.card"])
    side, scale = card["contract"]["side"], numpy.float32(card["contract"]["scale"])
    zero_point = numpy.float32(card["contract"]["zero_point"])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def bits(seed):
        image = (picture(seed, side).astype(numpy.float32) - zero_point) * scale
        logit = session.run(["logit"], {"image": image.reshape(1, 1, side, side)})[0]
        return int(logit.astype(numpy.float32).view(numpy.uint32).item())

    return [bits(seed) for seed in range(IMAGES)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write logits.json instead of checking it")
    arguments = parser.parse_args()
    file = FOLDER / "logits.json"
    levels = onnxruntime.GraphOptimizationLevel
    golden, failed = {}, False
    for model in MODELS:
        golden[model] = logits(FOLDER / model, levels.ORT_DISABLE_ALL)
        optimized = logits(FOLDER / model, levels.ORT_ENABLE_ALL)
        equal = sum(a == b for a, b in zip(golden[model], optimized))
        print(f"{model}: {len(set(golden[model]))} distinct logits; {equal} of {IMAGES} the same with optimizations")
        failed |= equal != IMAGES
    if arguments.write:
        lines = [f'  "{model}": {json.dumps(bits)}' for model, bits in golden.items()]
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    elif json.loads(file.read_text()) != golden:
        print(f"{file} holds other logits", file=sys.stderr)
        failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
