"""Compares the engines in one run: see run.sh.

One thread each. In every round each engine runs each model for a few milliseconds, the order shuffled, so that what
disturbs the machine disturbs all; medians over all rounds are reported.
"""

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime
from onnx import TensorProto, helper

# How long an engine runs in one round, in seconds.
BATCH = 0.02
# An engine that takes longer than this for one image runs once in each of the first rounds only.
SLOW, SLOW_ROUNDS = 0.04, 5

ENGINES = {
    "engine": "this engine, int8",
    "ort-f32": "onnxruntime f32",
    "ort-u8": "onnxruntime int8, u8 activations, 7-bit weights",
    "ort-i8": "onnxruntime int8, i8 activations and weights",
    "litert": "LiteRT int8",
    "rten": "rten f32",
    "tract-f32": "tract f32",
    "tract-int8": "tract int8, as released",
    "openvino-f32": "OpenVINO f32",
    "openvino-int8": "OpenVINO int8, u8 activations, 7-bit weights",
    "ncnn-f32": "ncnn f32",
    "ncnn-w8": "ncnn int8, 8-bit weights",
    "ncnn-w6": "ncnn int8, 6-bit weights for Winograd",
    "mnn-f32": "MNN f32",
    "mnn-int8": "MNN int8, as it quantizes",
}
# The packages without which an engine is left out, and its name.
PACKAGES = {"openvino": (["openvino"], "OpenVINO"), "ncnn": (["ncnn", "pnnx"], "ncnn"), "mnn": (["MNN"], "MNN")}
# Engines that compute in float, and how far from onnxruntime they may be, as a share of the largest logit. Winograd rounds
# more in MNN, which takes larger tiles.
FLOAT = {"rten": 1e-4, "tract-f32": 1e-4, "openvino-f32": 1e-4, "ncnn-f32": 1e-4, "mnn-f32": 1e-3}
REFERENCES = {"ort-f32": "onnxruntime f32", "ort-u8": "onnxruntime u8"}
PEAKS = {"int8": "int8", "int8-chains": "int8 in chains of four", "int16": "int16", "f32": "f32"}
SUFFIX = {"engine": "i8", "ort-f32": "f32", "ort-u8": "u8", "ort-i8": "i8", "rten": "f32", "tract-f32": "f32",
          "tract-int8": "i8", "openvino-f32": "f32", "openvino-int8": "qdq"}


class Worker:
    """A process that runs models: the protocol is described in protocol/src/lib.rs."""

    def __init__(self, command):
        pipe = subprocess.PIPE
        environment = os.environ | {"RTEN_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"`{line}`: {answer or 'the process has ended'}")
        return answer

    def load(self, model, file, images):
        self.model = model
        return int(self.ask(f"load {model} {file} {images}"))

    def logits(self):
        bits = [int(word) for word in self.ask(f"logits {self.model}").split()]
        return numpy.array(bits, numpy.uint32).view(numpy.float32)

    def time(self, count):
        return [int(word) for word in self.ask(f"time {self.model} {count}").split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Local:
    """An engine in this process."""

    def logits(self):
        return numpy.array([self.run(index) for index in range(len(self.images))], numpy.float32)

    def time(self, count):
        call, clock, times = self.prepare(), time.perf_counter_ns, []
        for _ in range(count):
            start = clock()
            call()
            times.append(clock() - start)
        return times


class Onnxruntime(Local):
    """Inputs and outputs stay where they are: only the call is Python's."""

    def __init__(self, model, images, outputs=("logit", "probability")):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.images = [(image.astype(numpy.float32) * numpy.float32(1 / 255))[None, None] for image in images]
        self.outputs = outputs

    def run(self, index):
        return self.session.run([self.outputs[0]], {"image": self.images[index]})[0].item()

    def prepare(self):
        value = onnxruntime.OrtValue.ortvalue_from_numpy
        binding = self.session.io_binding()
        binding.bind_ortvalue_input("image", value(self.images[0]))
        for name in self.outputs:
            binding.bind_ortvalue_output(name, value(numpy.zeros((1, 1), numpy.float32)))
        run = self.session.run_with_iobinding
        return lambda: run(binding)


class Litert(Local):
    """XNNPACK, as LiteRT does by default."""

    def __init__(self, file, images):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(file), num_threads=1)
        self.interpreter.allocate_tensors()
        (into,), (out,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        (scale, zero), self.out = into["quantization"], out
        steps = numpy.rint(images.astype(numpy.float32) / 255 / numpy.float32(scale)) + zero
        self.into = into["index"]
        self.images = list(numpy.clip(steps, -128, 127).astype(numpy.int8)[:, None, :, :, None])

    def run(self, index):
        self.interpreter.set_tensor(self.into, self.images[index])
        self.interpreter.invoke()
        scale, zero = self.out["quantization"]
        return (self.interpreter.get_tensor(self.out["index"]).item() - zero) * scale

    def prepare(self):
        self.interpreter.set_tensor(self.into, self.images[0])
        return self.interpreter.invoke


class Openvino(Local):
    """For the answer to one image, in f32 where it is not int8: by itself it would take bf16 where the processor has it."""

    def __init__(self, model, images, outputs=("logit", "probability")):
        import openvino

        core = openvino.Core()
        settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1,
                    "INFERENCE_PRECISION_HINT": "f32"}
        self.request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
        self.output = outputs[0]
        self.images = [openvino.Tensor(image[None, None].astype(numpy.float32) * numpy.float32(1 / 255))
                       for image in images]

    def run(self, index):
        self.request.set_input_tensor(self.images[index])
        self.request.infer()
        return self.request.get_tensor(self.output).data.item()

    def prepare(self):
        self.request.set_input_tensor(self.images[0])
        infer = self.request.infer
        return lambda: infer(share_outputs=True)


class Ncnn(Local):
    """Each image has an extractor of its own, which keeps what it has computed."""

    def __init__(self, file, images, winograd=True):
        import ncnn

        self.network = ncnn.Net()
        options = self.network.opt
        options.num_threads, options.use_winograd_convolution = 1, winograd
        options.use_vulkan_compute = options.use_bf16_storage = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        for load, ending in ((self.network.load_param, ".param"), (self.network.load_model, ".bin")):
            if load(f"{file}{ending}") != 0:
                raise RuntimeError(f"ncnn does not load {file}{ending}")
        # Kept here, because ncnn refers to their memory.
        self.values = [image[None].astype(numpy.float32) * numpy.float32(1 / 255) for image in images]
        self.images = [ncnn.Mat(values) for values in self.values]

    def extract(self, index):
        extractor = self.network.create_extractor()
        extractor.input("in0", self.images[index])
        status, logit = extractor.extract("out0")
        if status != 0:
            raise RuntimeError(f"ncnn has failed with {status}")
        return logit

    def run(self, index):
        return numpy.array(self.extract(index)).item()

    def prepare(self):
        return lambda: self.extract(0)


class Mnn(Local):
    """Inputs stay where they are: only the call is Python's."""

    def __init__(self, file, images):
        import MNN

        self.interpreter = MNN.Interpreter(str(file))
        self.session = self.interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "high"})
        self.into = self.interpreter.getSessionInput(self.session, "image")
        self.values = [image[None, None].astype(numpy.float32) * numpy.float32(1 / 255) for image in images]
        self.images = [MNN.Tensor(values.shape, MNN.Halide_Type_Float, values, MNN.Tensor_DimensionType_Caffe)
                       for values in self.values]
        zero = numpy.zeros((1, 1), numpy.float32)
        self.logit = MNN.Tensor((1, 1), MNN.Halide_Type_Float, zero, MNN.Tensor_DimensionType_Caffe)

    def run(self, index):
        self.into.copyFrom(self.images[index])
        self.interpreter.runSession(self.session)
        self.interpreter.getSessionOutput(self.session, "logit").copyToHostTensor(self.logit)
        return self.logit.getData()[0]

    def prepare(self):
        self.into.copyFrom(self.images[0])
        run, session = self.interpreter.runSession, self.session
        return lambda: run(session)


def open_network(arguments, name, engine, images):
    """The model in an engine, ready to run."""
    folder, pixels = arguments.folder, arguments.folder / f"{name}.u8"
    file = folder / f"{name}-{SUFFIX.get(engine)}.onnx"
    match engine:
        case "ort-f32" | "ort-u8" | "ort-i8":
            return Onnxruntime(str(file), images)
        case "litert":
            return Litert(folder / f"{name}.tflite", images)
        case "openvino-f32" | "openvino-int8":
            return Openvino(str(file), images)
        case "ncnn-f32" | "ncnn-w8" | "ncnn-w6":
            # Winograd is for the weights of 6 bits; those of 8 would overflow in it.
            return Ncnn(folder / f"{name}-{engine}", images, winograd=engine != "ncnn-w8")
        case "mnn-f32" | "mnn-int8":
            return Mnn(folder / f"{name}-mnn-{'f32' if engine == 'mnn-f32' else 'i8'}.mnn", images)
    network = Worker([arguments.rten] if engine == "rten" else [arguments.worker, engine])
    network.load(name, file, pixels)
    return network


def python_overhead(engine):
    """Microseconds of a call of an engine from Python, on a model that only passes its input on."""
    value = lambda name, rank: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1] * rank)
    node = helper.make_node("Flatten", ["image"], ["logit"])
    graph = helper.make_graph([node], "empty", [value("image", 4)], [value("logit", 2)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    empty = engine(model.SerializeToString(), numpy.zeros((1, 1, 1), numpy.uint8), ("logit",))
    return statistics.median(empty.time(2000)[100:]) / 1e3


def check(loaded, folder, name):
    """Whether the engines compute the same network: (engine, what was found, passed)."""
    logits = {engine: network.logits() for engine, network in loaded.items()}
    floats = logits["ort-f32"]
    range_of = float(numpy.abs(floats).max())
    results = []
    for engine, values in logits.items():
        if engine == "ort-f32":
            continue
        if engine == "engine":
            equal = int((values.view(numpy.uint32) == logits["ort-i8"].view(numpy.uint32)).sum())
            found = f"{equal} of {len(values)} logits equal onnxruntime's i8/i8 to the bit"
            results.append((engine, found, equal == len(values)))
            continue
        reference, of = floats, "onnxruntime f32"
        if engine == "litert":
            reference, of = numpy.load(folder / f"{name}-keras.npy"), "TensorFlow f32"
        elif engine == "tract-int8":
            reference, of = logits["ort-i8"], "onnxruntime i8/i8"
        difference = float(numpy.abs(values - reference).max())
        allowed = FLOAT.get(engine, 0.3) * max(range_of, 1e-3)
        found = f"largest difference of a logit from {of}'s {difference:.2g} (largest logit {range_of:.2g})"
        results.append((engine, found, difference <= allowed))
    return results


def too_slow(model, ratio):
    """What is wrong if this engine takes longer than so many times the fastest of the others."""
    medians = {engine: timing["median_us"] for engine, timing in model["engines"].items()}
    own = medians.pop("engine")
    best = min(medians, key=medians.get)
    if own > ratio * medians[best]:
        return f"this engine takes {own:.0f} µs, {ENGINES[best]} {medians[best]:.0f} µs"
    return None


def quartiles(times):
    low, middle, high = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    return {"median_us": middle / 1e3, "quartiles_us": [low / 1e3, high / 1e3], "runs": len(times)}


def measure(networks, rounds, peak):
    """Times of each (model, engine), and multiply-accumulates a second of each loop of the peak."""
    counts, times, peaks = {}, {key: [] for key in networks}, {}
    for key, network in networks.items():
        once = min(network.time(3)) / 1e9
        counts[key] = 1 if once > SLOW else max(2, min(500, round(BATCH / once)))
    keys, slow = list(networks), {key for key, count in counts.items() if count == 1}
    shuffle = random.Random(0).shuffle
    for number in range(rounds):
        shuffle(keys)
        for key in keys:
            if key in slow:
                if number < SLOW_ROUNDS:
                    times[key] += networks[key].time(1)
                continue
            # The first run finds the caches as another engine left them.
            times[key] += networks[key].time(counts[key] + 1)[1:]
            if peak and key[1] == "engine":
                words = peak.ask("measure").split()
                for name, macs, nanoseconds in zip(*[iter(words)] * 3):
                    peaks.setdefault(name, []).append(int(macs) / int(nanoseconds))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    timings = {key: quartiles(values) for key, values in times.items()}
    return timings, {name: statistics.median(values) for name, values in peaks.items()}


def loading(worker, file, images):
    """First and median load time in milliseconds."""
    process = Worker([worker, "engine"])
    times = [process.load(f"model{i}", file, images) / 1e6 for i in range(21)]
    process.close()
    return {"first_ms": times[0], "median_ms": statistics.median(times)}


def memory(arguments, folder):
    """Largest resident sets in KiB of one program that loads the shipped model with an engine and classifies once."""
    program = arguments.release or arguments.minimal
    found = {"profile": "release, stripped" if arguments.release else "dev"}
    for engine in ("engine", "tract-f32"):
        command = [program, engine, folder / f"shipped-{SUFFIX[engine]}.onnx", folder / "shipped.u8"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[engine] = int(done.stdout.split()[1])
    return found


def processor():
    try:
        found = re.search(r"^(?:model name|Model)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
        return found.group(1) if found else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def versions(lock):
    """Versions of what is compared."""
    found = {}
    for name in ("tract-onnx", "rten"):
        match = re.search(rf'name = "{name}"\nversion = "(.*)"', lock.read_text())
        found[name] = match.group(1)
    for name in ("onnxruntime", "ai-edge-litert", "openvino", "ncnn", "MNN"):
        if importlib.util.find_spec(name) or name == "ai-edge-litert":
            found[name] = importlib.metadata.version(name)
    return found


def profile(worker, model, images):
    """How this engine computes, and where its time goes: the whole network's and each layer's, in microseconds."""
    done = subprocess.run([worker, "profile", model, images], stdout=subprocess.PIPE, text=True, check=True)
    (_, execution), (_, network), *layers = [line.split(" ", 1) for line in done.stdout.splitlines()]
    layers = [dict(zip(("kind", "algorithm", "output", "us"), [kind, *rest.split()])) for kind, rest in layers]
    for layer in layers:
        layer["us"] = int(layer["us"]) / 1e3
    return {"execution": execution, "network_us": int(network) / 1e3, "layers": layers}


def overhead(result):
    """What a call of onnxruntime from Python takes, and of its times for the shipped model, if that is measured."""
    call = result["python_overhead_us"]
    text = f"A call of onnxruntime from Python takes {call:.1f} µs on an empty model"
    if (openvino := result["openvino_overhead_us"]) is not None:
        text += f", one of OpenVINO {openvino:.1f} µs"
    text += "; it is part of the times"
    for model in result["models"]:
        if model["name"] == "shipped":
            shares = [f"{100 * call / model['engines'][engine]['median_us']:.1f} % of that of {ENGINES[engine]}"
                      for engine in ("ort-f32", "ort-u8", "ort-i8")]
            text += f" (for the shipped model {', '.join(shares)})"
    return text + ". ncnn and MNN are called from Python, too. This engine's times include the conversion of 8-bit pixels."


def report(result):
    """The report as Markdown."""
    lines = ["# Comparison of inference engines", ""]
    lines.append(f"{result['date']}, {result['processor']}, load {result['load_average']:.1f}; one thread each, "
                 f"{result['rounds']} interleaved rounds, medians. "
                 + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + ".")
    lines.append("")
    lines += [overhead(result), ""]
    lines += [f"- left out: {what}" for what in result["left_out"]]
    for model in result["models"]:
        lines += ["", f"## {model['title']} ({model['side']} × {model['side']}, "
                  f"{model['macs'] / 1e6:.1f} million multiply-accumulates)", ""]
        lines.append("| engine | median µs | middle half µs | runs | "
                     + " | ".join(f"ratio to {title}" for title in REFERENCES.values()) + " |")
        lines.append("|---|--:|--:|--:|" + "--:|" * len(REFERENCES))
        for engine, timing in model["engines"].items():
            low, high = timing["quartiles_us"]
            ratios = " | ".join(f"{timing['ratios'][reference]:.2f}" for reference in REFERENCES)
            lines.append(f"| {ENGINES[engine]} | {timing['median_us']:,.0f} | {low:,.0f}–{high:,.0f} | "
                         f"{timing['runs']} | {ratios} |")
        lines.append("")
        lines += [f"- {ENGINES[c['engine']]}: {c['found']}: {'ok' if c['passed'] else 'FAILED'}"
                  for c in model["checks"]]
    lines += ["", "## This engine", ""]
    peaks = result["peaks"]
    share = [f"share of the peak of {PEAKS[name]}" for name in peaks]
    for execution in dict.fromkeys(model["profile"]["execution"] for model in result["models"]):
        titles = [model["title"] for model in result["models"] if model["profile"]["execution"] == execution]
        lines.append(f"Computed as {execution}: {'; '.join(titles)}.")
    lines.append("")
    head = ["model", *[f"ratio to {title}" for title in REFERENCES.values()], "10⁹ MAC/s", *share,
            "around the kernels"]
    lines += ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for model in result["models"]:
        timing = model["engines"]["engine"]
        cells = [f"{timing['ratios'][reference]:.2f}" for reference in REFERENCES] + [f"{model['gmacs']:.1f}"]
        cells += [f"{100 * model['gmacs'] / peak:.0f} %" for peak in peaks.values()]
        kernels = sum(layer["us"] for layer in model["profile"]["layers"])
        cells.append(f"{100 * (1 - kernels / model['profile']['network_us']):.1f} %")
        lines.append(f"| {model['title']} | " + " | ".join(cells) + " |")
    lines.append("")
    if peaks:
        lines.append("Peaks of one core, measured in registers in the same rounds, in 10⁹ multiply-accumulates a "
                     "second: " + ", ".join(f"{PEAKS[name]} {peak:.1f}" for name, peak in peaks.items())
                     + ". int8: `vpmaddubsw`, `vpmaddwd`, `vpaddd` for 32, the general sequence. int8 in chains of "
                     "four: four `vpmaddubsw`, three `vpaddw`, `vpmaddwd`, `vpaddd` for 128, which is exact only "
                     "where the weights are so small that a sum of eight products fits 16 bits; this engine uses it "
                     "there, and shorter chains or other sequences elsewhere. int16: `vpmaddwd`, `vpaddd` for 16. "
                     "f32: `vfmadd231ps` for 8. A model's multiply-accumulates are counted by the definition of its "
                     "convolutions; Winograd's form needs fewer multiplications, so a share may exceed 100 %.")
    else:
        lines.append("No peak is known for this processor.")
    lines += ["", "Around the kernels: what tract, the table of pixels and the sigmoid take of a network's time; layers "
              "and network are timed in turn, without other engines between them.", "",
              f"Layers of {result['models'][0]['title']}:", "",
              "| layer | algorithm | output | µs |", "|---|---|---|--:|"]
    lines += [f"| {layer['kind']} | {layer['algorithm']} | {layer['output']} | {layer['us']:.1f} |"
              for layer in result["models"][0]["profile"]["layers"]]
    loads, memories = result["loading"], result["memory_kib"]
    lines.append("")
    lines.append(f"- loading the shipped model: {loads['median_ms']:.1f} ms (median of 21; "
                 f"{loads['first_ms']:.1f} ms the first time)")
    lines.append("- largest resident set of a process that loads the shipped model and classifies one image: "
                 f"{memories['engine'] / 1024:.1f} MiB; with tract f32 {memories['tract-f32'] / 1024:.1f} MiB "
                 f"(the same program, profile {memories['profile']})")
    if result["size_bytes"] is not None:
        lines.append(f"- stripped release program that only loads and classifies: {result['size_bytes'] / 1e6:.1f} MB")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Compares inference engines on the same models.")
    parser.add_argument("--folder", required=True, type=pathlib.Path, help="where models.py has put the models")
    parser.add_argument("--worker", required=True, help="the program `worker`")
    parser.add_argument("--rten", required=True, help="the program `rten-worker`")
    parser.add_argument("--minimal", required=True, help="the program `minimal`")
    parser.add_argument("--release", help="`minimal`, built for release and stripped")
    parser.add_argument("--lock", required=True, type=pathlib.Path, help="Cargo.lock of the workers")
    parser.add_argument("--rounds", type=int, default=30, help="rounds (default 30)")
    parser.add_argument("--only", default="", help="names of models, separated by commas (default: all)")
    parser.add_argument("--at-most", type=float, metavar="RATIO",
                        help="fail if this engine takes longer than RATIO times the fastest of the others")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    folder = arguments.folder
    # MNN prints what the processor has; standard output is for the report.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    models = json.loads((folder / "models.json").read_text())
    only = set(filter(None, arguments.only.split(",")))
    if unknown := only - {model["name"] for model in models}:
        parser.error(f"no model is called {', '.join(sorted(unknown))}")
    others = [model["title"] for model in models if only and model["name"] not in only]
    models = [model for model in models if not only or model["name"] in only]
    litert = all((folder / f"{model['name']}.tflite").exists() for model in models)
    missing = {engine for engine, (packages, _) in PACKAGES.items()
               if not all(importlib.util.find_spec(package) for package in packages)}
    engines = [engine for engine in ENGINES
               if (engine != "litert" or litert) and engine.split("-")[0] not in missing]
    left_out = [f"{PACKAGES[engine][1]}: its packages are not installed, or not to be had for this platform"
                for engine in sorted(missing)]
    if others:
        left_out.append(f"{'; '.join(others)} (by `--only` or `--short`)")
    if not litert:
        left_out.append("LiteRT: its files are made with `--litert`, which installs TensorFlow")
    if not arguments.release:
        left_out.append("the size of a release program: `--size` builds one")
    left_out.append("instructions on Arm processors: `.ci/arm tests/bench/arm/run.sh` counts them")

    networks, checks = {}, {}
    for model in models:
        name, side = model["name"], model["side"]
        images = numpy.fromfile(folder / f"{name}.u8", numpy.uint8).reshape(-1, side, side)
        for engine in engines:
            networks[name, engine] = open_network(arguments, name, engine, images)
        checks[name] = check({e: networks[name, e] for e in engines}, folder, name)
        for engine, found, passed in checks[name]:
            print(f"{name}: {ENGINES[engine]}: {found}: {'ok' if passed else 'FAILED'}", file=sys.stderr)

    peak = Worker([arguments.worker, "peak"])
    try:
        peak.ask("measure")
    except (RuntimeError, BrokenPipeError):
        peak = None
    load_before = os.getloadavg()[0]
    timings, peaks = measure(networks, arguments.rounds, peak)
    for model in models:
        name = model["name"]
        model["engines"] = {engine: timings[name, engine] for engine in engines}
        for timing in model["engines"].values():
            timing["ratios"] = {
                reference: timing["median_us"] / timings[name, reference]["median_us"] for reference in REFERENCES
            }
        model["gmacs"] = model["macs"] / model["engines"]["engine"]["median_us"] / 1e3
        model["profile"] = profile(arguments.worker, folder / f"{name}-i8.onnx", folder / f"{name}.u8")
        model["checks"] = [{"engine": e, "found": f, "passed": p} for e, f, p in checks[name]]

    result = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "load_average": load_before,
        "rounds": arguments.rounds,
        "versions": versions(arguments.lock),
        "python_overhead_us": python_overhead(Onnxruntime),
        "openvino_overhead_us": None if "openvino" in missing else python_overhead(Openvino),
        "left_out": left_out,
        "models": models,
        "peaks": peaks,
        "loading": loading(arguments.worker, folder / "shipped-i8.onnx", folder / "shipped.u8"),
        "memory_kib": memory(arguments, folder),
        "size_bytes": os.path.getsize(arguments.release) if arguments.release else None,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(report(result), file=output, flush=True)
    failures = [f"{name}: {ENGINES[engine]} computes something else: {what}"
                for name, found in checks.items() for engine, what, passed in found if not passed]
    if arguments.at_most is not None:
        failures += [f"{model['name']}: {what}" for model in models if (what := too_slow(model, arguments.at_most))]
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
