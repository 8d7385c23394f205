"""Compares how fast libraries train the study's baseline: see run.sh.

Every library has a process that waits while another trains. In every round each trains for about a second, the order
shuffled, so that what disturbs the machine disturbs all; medians over all rounds are reported.
"""

import argparse
import datetime
import importlib.metadata
import json
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

BATCH, SIDE, IMAGES = 20, 64, 2000
# Trained parameters of the baseline for each number of input channels.
PARAMETERS = {1: 175_649, 3: 176_225}

# What is compared: library, input channels, title.
ROWS = {
    "host": ("host", 3, "`pumua`"),
    "tensorflow": ("tensorflow", 3, "TensorFlow, `tf.function`"),
    "tensorflow-1": ("tensorflow", 1, "TensorFlow, `tf.function`, one input channel"),
    "keras": ("keras", 3, "Keras, `train_on_batch`"),
    "torch": ("torch", 3, "PyTorch"),
    "torch-channels-last": ("torch-channels-last", 3, "PyTorch, `channels_last`"),
    "torch-compile": ("torch-compile", 3, "PyTorch, `channels_last`, `torch.compile`"),
}
REFERENCE = "tensorflow"
# What each library comes from.
PACKAGES = {"tensorflow": ["tensorflow-cpu", "keras"], "keras": ["tensorflow-cpu", "keras"], "host": []}

# The allocator keeps what a step has freed, for all: `pumua` arranges that for itself, where a third of the time depends
# on it.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}

# Mean loss of a second, after some: one that does not learn stays at ln 2 = 0.69.
LEARNT = 0.6


class Worker:
    """A process that trains: the protocol is described in host/learn/examples/throughput.rs."""

    def __init__(self, command, threads, channels):
        environment = os.environ | ALLOCATOR | {"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "2"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment)
        self.parameters = PARAMETERS[channels]

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


def write_images(path):
    """Smooth grey images with some noise, as radiographs are, of two kinds: brighter below the middle or above it."""
    rng = numpy.random.default_rng(0)
    labels = numpy.arange(IMAGES) % 2
    coarse = rng.uniform(40, 200, (IMAGES, 9, 9))
    coarse[:, 5:] += 15 * (2 * labels[:, None, None] - 1)
    at = numpy.linspace(0, 8, SIDE)
    low, share = numpy.minimum(at.astype(int), 7), at - numpy.minimum(at.astype(int), 7)
    rows = coarse[:, low] * (1 - share)[:, None] + coarse[:, low + 1] * share[:, None]
    images = rows[:, :, low] * (1 - share) + rows[:, :, low + 1] * share
    images = numpy.clip(images + rng.normal(0, 8, images.shape), 0, 255).astype(numpy.uint8)
    numpy.concatenate([labels[:, None].astype(numpy.uint8), images.reshape(IMAGES, -1)], axis=1).tofile(path)


def measure(host, images, names, threads, rounds):
    """Images a second of each round of each row."""
    workers, steps, rates = {}, {}, {}

    def attempt(name, action):
        """What the action gives; nothing if it fails and the comparison can do without this row, which then ends."""
        try:
            return action()
        except (RuntimeError, BrokenPipeError) as error:
            if name in ("host", REFERENCE):
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
            workers.pop(name).close()
            rates.pop(name)

    def warm_up(name):
        workers[name].ready()
        workers[name].rate(10)
        steps[name] = max(1, round(workers[name].rate(20) / BATCH))

    def finish(name):
        workers[name].close()
        if not workers[name].loss < LEARNT:
            raise RuntimeError(f"it has not learnt: its loss is {workers[name].loss}")

    for name in names:
        library, channels, _ = ROWS[name]
        peer = [sys.executable, pathlib.Path(__file__).with_name("peers.py"), library, images, threads, channels]
        command = [host, images, threads] if library == "host" else peer
        workers[name], rates[name] = Worker([str(word) for word in command], threads, channels), []
        attempt(name, lambda: warm_up(name))
    for number in range(rounds):
        order = list(workers)
        random.Random(number).shuffle(order)
        for name in order:
            if rate := attempt(name, lambda: workers[name].rate(steps[name])):
                rates[name].append(rate)
                steps[name] = max(1, round(rate / BATCH))
        print(f"{threads} thread(s): round {number + 1} of {rounds}", file=sys.stderr)
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
    lines = ["# Comparison of training", "",
             f"{result['date']}, {result['processor']}, {os.cpu_count()} cores, load {result['load_average']:.1f}; the "
             f"study's baseline, {SIDE} × {SIDE}, Adam, steps of {BATCH} images that are in memory; "
             f"{result['rounds']} interleaved rounds of about a second, medians. "
             + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + ".", ""]
    columns = list(result["threads"])
    titles = [f"images/s, {number} thread{'s' * (number != 1)} | ratio to TensorFlow" for number in columns]
    lines.append("| | " + " | ".join(titles) + " |")
    lines.append("|---|" + "--:|--:|" * len(columns))
    for name in (name for name in ROWS if all(name in rates for rates in result["threads"].values())):
        cells = []
        for rates in result["threads"].values():
            rate, reference = (statistics.median(rates[key]) for key in (name, REFERENCE))
            cells.append(f"{rate:,.0f} | {rate / reference:.2f}")
        lines.append(f"| {ROWS[name][2]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Compares how fast libraries train the same network.")
    parser.add_argument("--host", required=True, help="the program `throughput`")
    parser.add_argument("--rounds", type=int, default=15, help="rounds (default 15)")
    parser.add_argument("--threads", default="2,1", help="numbers of threads, separated by commas (default 2,1)")
    parser.add_argument("--only", default=",".join(ROWS),
                        help=f"what to compare with TensorFlow (default {','.join(ROWS)})")
    parser.add_argument("--json", type=pathlib.Path, help="write all rates to this file, too")
    arguments = parser.parse_args()
    only = {REFERENCE, *arguments.only.split(",")}
    if unknown := only - ROWS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    names = [name for name in ROWS if name in only]
    packages = dict.fromkeys(package for name in names for package in PACKAGES.get(ROWS[name][0], ["torch"]))
    result = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "load_average": os.getloadavg()[0],
        "rounds": arguments.rounds,
        "versions": {package: version(package) for package in packages},
    }
    with tempfile.TemporaryDirectory() as folder:
        images = pathlib.Path(folder) / "images"
        write_images(images)
        result["threads"] = {threads: measure(arguments.host, images, names, threads, arguments.rounds)
                             for threads in map(int, arguments.threads.split(","))}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))


if __name__ == "__main__":
    main()
