#!/usr/bin/env python3
"""TensorFlow to Gneiss and back: Keras models are exported by tf2onnx, trained further by `gneiss train` on the digits of
scikit-learn, converted to TensorFlow again by onnx2tf, and compared: the outputs of ONNX Runtime, Gneiss and TensorFlow on
the test digits must agree within 1e-4 of the largest, and the accuracy must not fall below that before.

    go build ./cmd/gneiss && python train/tensorflow/roundtrip.py --gneiss ./gneiss

Needs tensorflow-cpu, tf2onnx, onnx2tf 1.28 (1.29 takes the second convolution for one of another layout; neither takes what
tf2onnx makes of Keras' LSTM and attention), tf_keras, onnx-graphsurgeon, sng4onnx, psutil, ai-edge-litert, onnxruntime and
scikit-learn. It is for development: nothing of it is needed to train.
"""
import argparse
import os
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import onnx
import onnxruntime
import sklearn.datasets
import tensorflow as tf
import tf2onnx
from keras import layers as L

import onnx2tf


def cnn():
    return keras.Sequential([L.Input((8, 8, 2)), L.Conv2D(16, 3, padding="same"), L.BatchNormalization(), L.ReLU(),
                             L.MaxPooling2D(), L.Conv2D(32, 3, padding="same", activation="relu"), L.GlobalAveragePooling2D(), L.Dense(10)])


def mlp():
    return keras.Sequential([L.Input((8, 8, 2)), L.Flatten(), L.Dense(64, activation="relu"), L.Dropout(0.1),
                             L.Dense(32, activation="tanh"), L.Dense(10)])


def run(*args, **kw):
    p = subprocess.run(args, capture_output=True, text=True, **kw)
    if p.returncode:
        raise RuntimeError(f"{' '.join(args)}: exit code {p.returncode}\n{p.stdout[-2000:]}\n{p.stderr[-4000:]}")
    return p.stdout


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def round_trip(name, model, gneiss, folder, data):
    (x, y), (vx, vy), (tx, ty) = data
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    signature = (tf.TensorSpec((None, 8, 8, 2), tf.float32, name="x"),)
    first = os.path.join(folder, name + ".onnx")
    tf2onnx.convert.from_function(tf.function(lambda x: {"logits": model(x, training=False)}, input_signature=signature),
                                  input_signature=signature, opset=17, output_path=first, inputs_as_nchw=["x"])
    kerass = np.asarray(model(tx, training=False))
    images = tx.transpose(0, 3, 1, 2)
    before = session(first).run(None, {"x": images})[0]
    for part, (px, py) in {"train": (x, y), "val": (vx, vy), "test": (tx, ty)}.items():
        np.savez(os.path.join(folder, part + ".npz"), x=px.transpose(0, 3, 1, 2), y=py)
    with open(os.path.join(folder, "train.yaml"), "w") as f:
        f.write(f"""model: {{import: {name}.onnx}}
data: {{train: train.npz, validation: val.npz, inputs: [x], target: y, batch_size: 32, shuffle: true}}
loss: cross_entropy
optimizer: {{name: adam, lr: 0.002}}
metrics: [accuracy]
epochs: 10
seed: 1
output: {name}.tuned.onnx
""")
    run(gneiss, "train", "train.yaml", "--json", cwd=folder)
    tuned = os.path.join(folder, name + ".tuned.onnx")
    onnx.checker.check_model(tuned, full_check=True)
    np.save(os.path.join(folder, "tx.npy"), images)
    run(gneiss, "run", tuned, "--input", "x=" + os.path.join(folder, "tx.npy"), "--output-dir", folder)
    ours = np.load(os.path.join(folder, "logits.npy"))
    theirs = session(tuned).run(None, {"x": images})[0]

    # onnx2tf turns images to channels-last, with a fixed batch.
    out = os.path.join(folder, name + ".tf")
    onnx2tf.convert(input_onnx_file_path=tuned, output_folder_path=out, batch_size=1, output_signaturedefs=True, non_verbose=True)
    back = tf.saved_model.load(out).signatures["serving_default"]
    key = list(back.structured_input_signature[1])[0]
    again = np.concatenate([list(back(**{key: tf.constant(tx[i:i + 1])}).values())[0].numpy() for i in range(len(tx))])

    scale = np.abs(theirs).max()
    accuracy = [float((o.argmax(1) == ty).mean()) for o in (before, theirs)]
    errors = {"tf2onnx": np.abs(kerass - before).max() / np.abs(before).max(), "gneiss": np.abs(ours - theirs).max() / scale,
              "tensorflow": np.abs(again - theirs).max() / scale}
    ok = all(e <= 1e-4 for e in errors.values()) and accuracy[1] >= accuracy[0]
    print(f"{name:6} accuracy {accuracy[0]:.4f} -> {accuracy[1]:.4f}  " + "  ".join(f"{k} {v:.1e}" for k, v in errors.items()) + ("" if ok else "  FAILED"), flush=True)
    return ok


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gneiss", default="./gneiss", help="the program")
    p.add_argument("models", nargs="*", default=[], help="cnn or mlp (default: both)")
    args = p.parse_args()
    gneiss = os.path.abspath(args.gneiss)
    keras.utils.set_random_seed(1)
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    x, y = (x[order] / 16).astype("f4").reshape(-1, 8, 8, 1), y[order]
    x = np.concatenate([x, x.transpose(0, 2, 1, 3)], 3)  # two channels: of one, tf2onnx makes a Reshape that onnx2tf misreads
    data = [(x[i:j], y[i:j]) for i, j in ((0, 1078), (1078, 1437), (1437, None))]
    ok = True
    for name, make in {"cnn": cnn, "mlp": mlp}.items():
        if args.models and name not in args.models:
            continue
        with tempfile.TemporaryDirectory() as folder:
            ok &= round_trip(name, make(), gneiss, folder, data)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
