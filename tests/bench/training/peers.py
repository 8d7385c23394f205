"""Trains a network of this product with another library.

    python peers.py LIBRARY NETWORK IMAGES THREADS CHANNELS [augmented]

The protocol is that of host/learn/examples/throughput.rs. What is trained is read from the recipe: the network, its
optimizer, the size of a step, the moving average of the weights, the truths' smoothing, and with `augmented` how images
are varied.

Images are varied as a user in a hurry would have it done: whole batches at once, inside the step, each image in its own
way. What happens only to some is computed only for as many of each batch, which are drawn; so all shapes are fixed.
Keras has no layers for the gains of bands and for gamma, so it gets the function that TensorFlow gets.
"""

import dataclasses
import math
import os
import pathlib
import sys
import time
import tomllib

import numpy

# The recipe behind each network: file and name.
NETWORKS = {"baseline": ("study.toml", "adam"), "screener": ("screener.toml", "screener")}
RECIPES = pathlib.Path(__file__).resolve().parents[3] / "host/learn/recipes"
# What recipes leave to the program.
CONVOLUTIONS, HIDDEN, EPSILON = (32, 32, 64), 64, 1e-7
# What augmentation does not leave to recipes (host/data/src/augment): the bands and the share of images that has them
# changed, that which is blurred or gets noise, and what is painted over.
BANDS, SMOOTHING, VARIED_BANDS = 5, (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16), 0.7
VARIED, AREA, RATIO = 0.5, (0.02, 0.2), 3


def recipe(network):
    """The recipe behind a network, with what it has from those that it is like."""
    file, name = NETWORKS[network]
    experiments = tomllib.loads((RECIPES / file).read_text(encoding="utf-8"))["experiment"]
    experiments = {experiment["name"]: experiment for experiment in experiments}

    def merged(name):
        like = experiments[name].get("like")
        return (merged(like) if like else {}) | experiments[name]["recipe"]

    return merged(name)


@dataclasses.dataclass
class Task:
    """What is trained on what."""

    recipe: dict
    labels: numpy.ndarray
    # [images, side, side, channels], 0 to 1
    images: numpy.ndarray
    threads: int
    augmented: bool

    def __post_init__(self):
        network, optimizer = self.recipe["network"], self.recipe["optimizer"]
        self.side, self.batch = self.recipe["side"], self.recipe["batch"]
        self.widths, self.averages = network.get("widths", CONVOLUTIONS), network["architecture"] == "averaged"
        self.pooled = len(self.widths) - self.averages
        self.batch_norm = network.get("batch_norm", False)
        self.rate, self.decay = optimizer["learning_rate"], optimizer.get("weight_decay")
        self.average = self.recipe.get("weight_average", 0)
        smoothing = self.recipe.get("label_smoothing", 0)
        self.labels = self.labels * numpy.float32(1 - smoothing) + numpy.float32(smoothing / 2)
        known = {"rotation", "width_shift", "height_shift", "zoom", "brightness", "contrast", "gamma", "bands", "blur",
                 "noise", "erase"}
        if self.augmented and (others := self.recipe["augmentation"].keys() ^ known):
            sys.exit(f"the augmentation of the recipe is not what is compared here: {', '.join(sorted(others))}")


def tensorflow_augmentation(task):
    """Varies a batch of TensorFlow's."""
    import tensorflow as tf

    settings, side, batch = task.recipe["augmentation"], task.side, task.batch

    def within(low, high, *shape):
        return tf.random.uniform(shape, low, high)

    def factors(low, high, *shape):
        """Even by their logarithms."""
        return tf.exp(within(math.log(low), math.log(high), *shape))

    def some(images, share, change):
        """Changes this share of the images."""
        chosen = tf.random.shuffle(tf.range(batch))[:round(share * batch)]
        changed = tf.clip_by_value(change(tf.gather(images, chosen), round(share * batch)), 0, 1)
        return tf.tensor_scatter_nd_update(images, chosen[:, None], changed)

    def move(images):
        turn, centre = within(-1, 1, batch) * math.radians(settings["rotation"]), (side - 1) / 2
        across, down = (within(1 - settings["zoom"], 1 + settings["zoom"], batch) for _ in range(2))
        xx, xy = tf.cos(turn) * across, -tf.sin(turn) * down
        yx, yy = tf.sin(turn) * across, tf.cos(turn) * down
        x = within(-1, 1, batch) * settings["width_shift"] * side + centre * (1 - xx - xy)
        y = within(-1, 1, batch) * settings["height_shift"] * side + centre * (1 - yx - yy)
        none = tf.zeros(batch)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images, transforms=tf.stack([xx, xy, x, yx, yy, y, none, none], axis=1), output_shape=[side, side],
            fill_value=0.0, interpolation="BILINEAR", fill_mode="NEAREST")

    def filtered(images, weights, step=1):
        """The images, in [1, side, side, images], after a filter along either axis, each with weights of its own."""
        taps, count = weights.shape
        around, every = [taps // 2 * step] * 2, [1] * 4
        images = tf.pad(images, [[0, 0], around, around, [0, 0]], "SYMMETRIC")
        along, down = (tf.reshape(weights, [*shape, count, 1]) for shape in ([1, taps], [taps, 1]))
        images = tf.nn.depthwise_conv2d(images, along, every, "VALID", dilations=[1, step])
        return tf.nn.depthwise_conv2d(images, down, every, "VALID", dilations=[step, 1])

    def bands(images, count):
        images = smooth = tf.transpose(images, [3, 1, 2, 0])
        weights = tf.constant(SMOOTHING)[:, None] * tf.ones(count)
        for level in range(BANDS):
            smoother = filtered(smooth, weights, 1 << level)
            images += (factors(*settings["bands"], count) - 1) * (smooth - smoother)
            smooth = smoother
        return tf.transpose(images, [3, 1, 2, 0])

    def blur(images, count):
        most = settings["blur"] * side
        reach = math.ceil(3 * most)
        distances = numpy.arange(-reach, reach + 1, dtype=numpy.float32)[:, None]
        bells = tf.exp(-0.5 * (distances / within(0.01, most, count)) ** 2)
        bells /= tf.reduce_sum(bells, axis=0)
        return tf.transpose(filtered(tf.transpose(images, [3, 1, 2, 0]), bells), [3, 1, 2, 0])

    def noise(images, count):
        return images + within(0, settings["noise"], count, 1, 1, 1) * tf.random.normal(images.shape)

    def erase(images, count):
        area, ratio = within(*AREA, count, 1), factors(1 / RATIO, RATIO, count, 1)
        width, height = tf.sqrt(area * ratio), tf.sqrt(area / ratio)
        at = (tf.range(side, dtype=tf.float32) + 0.5)[None] / side
        left, top = within(0, 1, count, 1) * (1 - width), within(0, 1, count, 1) * (1 - height)
        columns, rows = (at >= left) & (at < left + width), (at >= top) & (at < top + height)
        return tf.where(rows[:, :, None, None] & columns[:, None, :, None], within(0, 1, count, 1, 1, 1), images)

    def augment(images):
        images = some(move(images), VARIED_BANDS, bands)
        images = tf.minimum(images * within(*settings["brightness"], batch, 1, 1, 1), 1)
        mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
        images = tf.clip_by_value(mean + (images - mean) * within(*settings["contrast"], batch, 1, 1, 1), 0, 1)
        images = images ** factors(*settings["gamma"], batch, 1, 1, 1)
        return some(some(some(images, VARIED, blur), VARIED, noise), settings["erase"], erase)

    return augment


def tensorflow(task, whole_graph):
    """Keras' model and optimizer; each step by `train_on_batch`, or by a graph of TensorFlow's compiled for it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(task.threads)
    layers = [tf.keras.Input(task.images.shape[1:])]
    for i, filters in enumerate(task.widths):
        layers.append(tf.keras.layers.Conv2D(filters, 3, activation="relu"))
        if i < task.pooled:
            layers.append(tf.keras.layers.MaxPooling2D())
        if task.batch_norm:
            layers.append(tf.keras.layers.BatchNormalization())
    if task.averages:
        layers.append(tf.keras.layers.GlobalAveragePooling2D())
    else:
        layers += [tf.keras.layers.Flatten(), tf.keras.layers.Dense(HIDDEN, activation="relu")]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(1)])
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    settings = {"learning_rate": task.rate, "epsilon": EPSILON}
    if task.average:
        settings |= {"use_ema": True, "ema_momentum": task.average}
    if task.decay is None:
        optimizer = tf.keras.optimizers.Adam(**settings)
    else:
        optimizer = tf.keras.optimizers.AdamW(weight_decay=task.decay, **settings)
    augment = tensorflow_augmentation(task) if task.augmented else lambda images: images
    if not whole_graph:
        model.compile(optimizer, loss)
        varied = tf.function(augment) if task.augmented else augment
        return parameters, lambda at: model.train_on_batch(varied(task.images[at]), task.labels[at, None])
    optimizer.build(model.trainable_variables)
    batches = [(tf.constant(task.images[i:i + task.batch]), tf.constant(task.labels[i:i + task.batch, None]))
               for i in range(0, len(task.images), task.batch)]

    @tf.function
    def step(images, labels):
        images = augment(images)
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    return parameters, lambda at: step(*batches[at.start // task.batch]).numpy()


def torch_augmentation(task):
    """Varies a batch of PyTorch's."""
    import torch

    settings, side, batch, functional = task.recipe["augmentation"], task.side, task.batch, torch.nn.functional

    def within(low, high, *shape):
        return low + (high - low) * torch.rand(shape)

    def factors(low, high, *shape):
        """Even by their logarithms."""
        return within(math.log(low), math.log(high), *shape).exp()

    def some(images, share, change):
        """Changes this share of the images."""
        chosen = torch.randperm(batch)[:round(share * batch)]
        return images.index_copy(0, chosen, change(images[chosen], len(chosen)).clamp(0, 1))

    def move(images):
        turn = within(-1, 1, batch) * math.radians(settings["rotation"])
        across, down = (within(1 - settings["zoom"], 1 + settings["zoom"], batch) for _ in range(2))
        # The side is 2.
        x, y = (2 * within(-1, 1, batch) * settings[shift] for shift in ("width_shift", "height_shift"))
        rows = [turn.cos() * across, -turn.sin() * down, x, turn.sin() * across, turn.cos() * down, y]
        grid = functional.affine_grid(torch.stack(rows, 1).view(batch, 2, 3), images.shape, align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def filtered(images, weights, step=1):
        """The images, in [1, images, side, side], after a filter along either axis, each with weights of its own."""
        count, taps = weights.shape
        images = functional.pad(images, (taps // 2 * step,) * 4, mode="replicate")
        images = functional.conv2d(images, weights.view(count, 1, 1, taps), dilation=step, groups=count)
        return functional.conv2d(images, weights.view(count, 1, taps, 1), dilation=step, groups=count)

    def bands(images, count):
        images = smooth = images.transpose(0, 1)
        weights = torch.tensor(SMOOTHING).expand(count, -1).contiguous()
        for level in range(BANDS):
            smoother = filtered(smooth, weights, 1 << level)
            images = images + (factors(*settings["bands"], count, 1, 1) - 1) * (smooth - smoother)
            smooth = smoother
        return images.transpose(0, 1)

    def blur(images, count):
        most = settings["blur"] * side
        reach = math.ceil(3 * most)
        bells = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / within(0.01, most, count, 1)) ** 2)
        return filtered(images.transpose(0, 1), bells / bells.sum(1, keepdim=True)).transpose(0, 1)

    def noise(images, count):
        return images + within(0, settings["noise"], count, 1, 1, 1) * torch.randn(images.shape)

    def erase(images, count):
        area, ratio = within(*AREA, count, 1), factors(1 / RATIO, RATIO, count, 1)
        width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
        at = (torch.arange(side) + 0.5)[None] / side
        left, top = within(0, 1, count, 1) * (1 - width), within(0, 1, count, 1) * (1 - height)
        columns, rows = (at >= left) & (at < left + width), (at >= top) & (at < top + height)
        return torch.where(rows[:, None, :, None] & columns[:, None, None, :], within(0, 1, count, 1, 1, 1), images)

    @torch.no_grad()
    def augment(images):
        images = some(move(images), VARIED_BANDS, bands)
        images = (images * within(*settings["brightness"], batch, 1, 1, 1)).clamp(max=1)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = (mean + (images - mean) * within(*settings["contrast"], batch, 1, 1, 1)).clamp(0, 1)
        images = images ** factors(*settings["gamma"], batch, 1, 1, 1)
        return some(some(some(images, VARIED, blur), VARIED, noise), settings["erase"], erase)

    return augment


def torch(task, channels_last, compiled):
    import torch

    torch.set_num_threads(task.threads)
    nn, layers, side, channels = torch.nn, [], task.side, task.images.shape[-1]
    for i, filters in enumerate(task.widths):
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU()]
        side, channels = side - 2, filters
        if i < task.pooled:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        if task.batch_norm:
            layers.append(nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01))
    if task.averages:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1)]
    else:
        layers += [nn.Flatten(), nn.Linear(side * side * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)]
    model, images = nn.Sequential(*layers), torch.from_numpy(task.images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(task.labels)[:, None]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model, images = model.to(memory_format=layout), images.contiguous(memory_format=layout)
    parameters = sum(p.numel() for p in model.parameters())
    if task.decay is None:
        optimizer = torch.optim.Adam(model.parameters(), task.rate, eps=EPSILON)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), task.rate, eps=EPSILON, weight_decay=task.decay)
    swa = torch.optim.swa_utils
    if task.average:
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(task.average), use_buffers=True)
    augment = torch_augmentation(task) if task.augmented else lambda images: images
    forward = model
    if compiled:
        forward = torch.compile(model)
        augment = torch.compile(augment) if task.augmented else augment

    def step(at):
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(forward(augment(images[at])), labels[at])
        value.backward()
        optimizer.step()
        if task.average:
            averaged.update_parameters(model)
        return value.item()

    return parameters, step


LIBRARIES = {
    "keras": lambda task: tensorflow(task, whole_graph=False),
    "tensorflow": lambda task: tensorflow(task, whole_graph=True),
    "torch": lambda task: torch(task, channels_last=False, compiled=False),
    "torch-channels-last": lambda task: torch(task, channels_last=True, compiled=False),
    "torch-compile": lambda task: torch(task, channels_last=True, compiled=True),
}


def main():
    library, network, file, threads, channels, *augmented = sys.argv[1:]
    # What the libraries print must not be taken for answers.
    answers, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr
    os.dup2(2, 1)
    how = recipe(network)
    side, batch = how["side"], how["batch"]
    rows = numpy.fromfile(file, numpy.uint8).reshape(-1, 1 + side * side)
    labels, images = rows[:, 0].astype(numpy.float32), rows[:, 1:].astype(numpy.float32) / 255
    images = numpy.repeat(images.reshape(-1, side, side, 1), int(channels), axis=3)
    parameters, step = LIBRARIES[library](Task(how, labels, images, int(threads), augmented == ["augmented"]))
    print(parameters, file=answers)
    done = 0
    for line in sys.stdin:
        steps, losses, start = int(line), [], time.perf_counter()
        for _ in range(steps):
            first = done * batch % len(images)
            losses.append(float(step(slice(first, first + batch))))
            done += 1
        print(f"{steps * batch / (time.perf_counter() - start):.1f} {sum(losses) / steps:.6f}", file=answers)


if __name__ == "__main__":
    main()
