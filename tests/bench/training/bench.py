"""Compares how fast libraries train a network of this product: see run.sh.

Every library has a process that waits while another trains. In every round each trains for about a second, the order
shuffled, so that what disturbs the machine disturbs all; medians over all rounds are reported. With augmentation and
without, and for each number of threads, all begin anew.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile

import numpy

import peers

# Of each network: images to learn from, trained parameters by the number of input channels, and whether there is
# augmentation.
NETWORKS = {
    "baseline": {"images": 2000, "parameters": {1: 175_649, 3: 176_225}, "augmented": [False]},
    "screener": {"images": 640, "parameters": {1: 154_565}, "augmented": [False, True]},
}

# What is compared: library and title.
ROWS = {
    "host": ("host", "`pumua`"),
    "tensorflow": ("tensorflow", "TensorFlow, `tf.function`"),
    "tensorflow-1": ("tensorflow", "TensorFlow, `tf.function`, one input channel"),
    "keras": ("keras", "Keras, `train_on_batch`"),
    "torch": ("torch", "PyTorch"),
    "torch-channels-last": ("torch-channels-last", "PyTorch, `channels_last`"),
    "torch-compile": ("torch-compile", "PyTorch, `channels_last`, `torch.compile`"),
}
# What each library comes from.
PACKAGES = {"tensorflow": ["tensorflow-cpu", "keras"], "keras": ["tensorflow-cpu", "keras"], "host": []}

# The allocator keeps what a step has freed, for all and of any size: `pumua` arranges that for itself, where a third of
# the time depends on it, and has no blocks as large as the others' maps of the screener's first convolution.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}

# Mean loss of a second, after some: one that does not learn stays at ln 2 = 0.69.
LEARNT = 0.6


class Worker:
    """A process that trains: the protocol is described in host/learn/examples/throughput.rs."""

    def __init__(self, command, threads, parameters):
        environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)
        self.parameters = parameters

    def ready(self):
        """Waits until it can train."""
        if (found := int(self.answer())) != self.parameters:
            sys.exit(f"{self.process.args} trains {found} parameters, not {self.parameters}: another network")

    def answer(self):
        if not (line := self.process.stdout.readline().strip()):
            raise RuntimeError(f"{self.process.args} has ended")
        return line

    def rate(self, steps):
        """Images a second over this many steps."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        rate, self.loss = map(float, self.answer().split())
        return rate

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def between(values, side):
    """Grids of values brought to this many rows and columns, linearly."""
    for axis in (1, 2):
        last = values.shape[axis] - 1
        at = numpy.linspace(0, last, side)
        low = numpy.minimum(at.astype(int), last - 1)
        share = (at - low).reshape([-1, 1] if axis == 1 else [-1])
        values = values.take(low, axis) * (1 - share) + values.take(low + 1, axis) * share
    return values


def write_images(path, network):
    """Smooth grey images with some noise, as radiographs are, of two kinds.

    Those for the baseline are brighter below the middle or above it. The screener averages its maps and so hardly sees
    where, and augmentation changes how bright: its images vary faster from left to right or from top to bottom.
    """
    rng, side, count = numpy.random.default_rng(0), peers.recipe(network)["side"], NETWORKS[network]["images"]
    labels = numpy.arange(count) % 2
    if network == "baseline":
        coarse = rng.uniform(40, 200, (count, 9, 9))
        coarse[:, 5:] += 15 * (2 * labels[:, None, None] - 1)
        images = between(coarse, side)
    else:
        images = between(rng.uniform(40, 200, (count, 5, 17)), side)
        images[labels == 1] = images[labels == 1].transpose(0, 2, 1)
    images = numpy.clip(images + rng.normal(0, 8, images.shape), 0, 255).astype(numpy.uint8)
    numpy.concatenate([labels[:, None].astype(numpy.uint8), images.reshape(count, -1)], axis=1).tofile(path)


def measure(host, network, images, names, augmented, threads, rounds):
    """Images a second of each round of each row."""
    workers, steps, rates, recipe = {}, {}, {}, peers.recipe(network)
    batch, channels = recipe["batch"], recipe["network"]["channels"]

    def attempt(name, action):
        """What the action gives; nothing if it fails for a row other than our own, which then ends."""
        try:
            return action()
        except (RuntimeError, BrokenPipeError) as error:
            if name == "host":
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
            workers.pop(name).close()
            rates.pop(name)

    def warm_up(name):
        workers[name].ready()
        workers[name].rate(10)
        steps[name] = max(1, round(workers[name].rate(20) / batch))

    def finish(name):
        workers[name].close()
        if not workers[name].loss < LEARNT:
            raise RuntimeError(f"it has not learnt: its loss is {workers[name].loss}")

    for name in names:
        library, inputs = ROWS[name][0], 1 if name == "tensorflow-1" else channels
        if library == "host":
            command = [host, images, threads, "--recipe", peers.NETWORKS[network][1], *["--plain"] * (not augmented)]
        else:
            program = pathlib.Path(peers.__file__)
            command = [sys.executable, program, library, network, images, threads, inputs, *["augmented"] * augmented]
        parameters = NETWORKS[network]["parameters"][inputs]
        workers[name], rates[name] = Worker([str(word) for word in command], threads, parameters), []
        attempt(name, lambda: warm_up(name))
    for number in range(rounds):
        order = list(workers)
        random.Random(number).shuffle(order)
        for name in order:
            if rate := attempt(name, lambda: workers[name].rate(steps[name])):
                rates[name].append(rate)
                steps[name] = max(1, round(rate / batch))
        print(f"{threads} thread(s){', augmented' * augmented}: round {number + 1} of {rounds}", file=sys.stderr)
    for name in list(workers):
        attempt(name, lambda: finish(name))
    return rates


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def processor():
    try:
        found = re.search(r"^(?:model name|Model)\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
        return found.group(1) if found else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()


def report(result):
    """The report as Markdown."""
    network, measured = result["network"], result["measured"]
    recipe = peers.recipe(network)
    batch, side, optimizer = recipe["batch"], recipe["side"], recipe["optimizer"]["kind"]
    lines = ["# Comparison of training", "",
             f"{result['date']}, {result['processor']}, {os.cpu_count()} cores, load {result['load_average']:.1f}; the "
             f"{network}, {side} × {side}, {optimizer}, steps of {batch} images that are in memory; "
             f"{result['rounds']} interleaved rounds of about a second, medians. "
             + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + ".", ""]
    threads = list(dict.fromkeys(part["threads"] for part in measured))
    titles = [f"images/s, {number} thread{'s' * (number != 1)} | ratio to the best peer" for number in threads]
    lines.append("| | " + " | ".join(titles) + " |")
    lines.append("|---|" + "--:|--:|" * len(threads))
    for augmented in NETWORKS[network]["augmented"]:
        parts = [part["rates"] for part in measured if part["augmented"] == augmented]
        medians = [{name: statistics.median(rates[name]) for name in rates} for rates in parts]
        peer = [[rate for name, rate in rates.items() if name != "host"] for rates in medians]
        best = [max(rates, default=math.nan) for rates in peer]
        for name in (name for name in ROWS if all(name in rates for rates in medians)):
            cells = [f"{rates[name]:,.0f} | {rates[name] / most:.2f}" for rates, most in zip(medians, best)]
            lines.append(f"| {ROWS[name][1]}{', with augmentation' * augmented} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Compares how fast libraries train the same network.")
    parser.add_argument("--host", required=True, help="the program `throughput`")
    parser.add_argument("--rounds", type=int, default=15, help="rounds (default 15)")
    parser.add_argument("--threads", default="2,1", help="numbers of threads, separated by commas (default 2,1)")
    parser.add_argument("--network", choices=NETWORKS, default="baseline",
                        help="what is trained: the study's baseline (default), or the screener, which ships")
    parser.add_argument("--only", default=",".join(ROWS), help=f"what is compared (default {','.join(ROWS)})")
    parser.add_argument("--json", type=pathlib.Path, help="write all rates to this file, too")
    arguments = parser.parse_args()
    network, only = arguments.network, set(arguments.only.split(","))
    if unknown := only - ROWS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    # The screener has one input channel anyway.
    names = [name for name in ROWS if name in only and (name, network) != ("tensorflow-1", "screener")]
    if not set(names) - {"host"}:
        parser.error("name something to compare with")
    packages = dict.fromkeys(package for name in names for package in PACKAGES.get(ROWS[name][0], ["torch"]))
    result = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "load_average": os.getloadavg()[0],
        "network": network,
        "rounds": arguments.rounds,
        "versions": {package: version(package) for package in packages},
        "measured": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        images = pathlib.Path(folder) / "images"
        write_images(images, network)
        for augmented in NETWORKS[network]["augmented"]:
            for threads in map(int, arguments.threads.split(",")):
                rates = measure(arguments.host, network, images, names, augmented, threads, arguments.rounds)
                result["measured"].append({"augmented": augmented, "threads": threads, "rates": rates})
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))


if __name__ == "__main__":
    main()
