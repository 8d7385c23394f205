"""Trains the study's baseline with another library: python peers.py LIBRARY IMAGES THREADS CHANNELS.

The protocol is that of host/learn/examples/throughput.rs.
"""

import os
import sys
import time

import numpy

BATCH, SIDE, RATE, EPSILON = 20, 64, 1e-3, 1e-7
CONVOLUTIONS, HIDDEN = (32, 32, 64), 64


def tensorflow(labels, images, threads, whole_graph):
    """Keras' model and Adam; each step by `train_on_batch`, or by a graph of TensorFlow's that is compiled for it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    layers = [tf.keras.Input(images.shape[1:])]
    for filters in CONVOLUTIONS:
        layers += [tf.keras.layers.Conv2D(filters, 3, activation="relu"), tf.keras.layers.MaxPooling2D()]
    layers += [tf.keras.layers.Flatten(), tf.keras.layers.Dense(HIDDEN, activation="relu"), tf.keras.layers.Dense(1)]
    model = tf.keras.Sequential(layers)
    loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(RATE, epsilon=EPSILON)
    if not whole_graph:
        model.compile(optimizer, loss)
        return model.count_params(), lambda at: model.train_on_batch(images[at], labels[at, None])
    optimizer.build(model.trainable_variables)
    batches = [(tf.constant(images[i:i + BATCH]), tf.constant(labels[i:i + BATCH, None]))
               for i in range(0, len(images), BATCH)]

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    return model.count_params(), lambda at: step(*batches[at.start // BATCH]).numpy()


def torch(labels, images, threads, channels_last, compiled):
    import torch

    torch.set_num_threads(threads)
    nn, layers, side, channels = torch.nn, [], SIDE, images.shape[-1]
    for filters in CONVOLUTIONS:
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        side, channels = (side - 2) // 2, filters
    layers += [nn.Flatten(), nn.Linear(side * side * channels, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)]
    model, images = nn.Sequential(*layers), torch.from_numpy(images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(labels)[:, None]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model, images = model.to(memory_format=layout), images.contiguous(memory_format=layout)
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.Adam(model.parameters(), RATE, eps=EPSILON)
    forward = torch.compile(model) if compiled else model

    def step(at):
        optimizer.zero_grad()
        value = nn.functional.binary_cross_entropy_with_logits(forward(images[at]), labels[at])
        value.backward()
        optimizer.step()
        return value.item()

    return parameters, step


LIBRARIES = {
    "keras": lambda *data: tensorflow(*data, whole_graph=False),
    "tensorflow": lambda *data: tensorflow(*data, whole_graph=True),
    "torch": lambda *data: torch(*data, channels_last=False, compiled=False),
    "torch-channels-last": lambda *data: torch(*data, channels_last=True, compiled=False),
    "torch-compile": lambda *data: torch(*data, channels_last=True, compiled=True),
}


def main():
    library, file, threads, channels = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    # What the libraries print must not be taken for answers.
    answers, sys.stdout = os.fdopen(os.dup(1), "w", buffering=1), sys.stderr
    os.dup2(2, 1)
    rows = numpy.fromfile(file, numpy.uint8).reshape(-1, 1 + SIDE * SIDE)
    labels, images = rows[:, 0].astype(numpy.float32), rows[:, 1:].astype(numpy.float32) / 255
    images = numpy.repeat(images.reshape(-1, SIDE, SIDE, 1), channels, axis=3)
    parameters, step = LIBRARIES[library](labels, images, threads)
    print(parameters, file=answers)
    done = 0
    for line in sys.stdin:
        steps, losses, start = int(line), [], time.perf_counter()
        for _ in range(steps):
            first = done * BATCH % len(images)
            losses.append(float(step(slice(first, first + BATCH))))
            done += 1
        print(f"{steps * BATCH / (time.perf_counter() - start):.1f} {sum(losses) / steps:.6f}", file=answers)


if __name__ == "__main__":
    main()
