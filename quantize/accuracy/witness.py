#!/usr/bin/env python3
"""Which runtime is right about a quantised model: both beside a reference in float64 and one in float32.

  witness.py MODEL.onnx FOLDER --gneiss ./gneiss

FOLDER has input_*.pb. The references compute each node as ONNX's reference evaluator does (convolutions by PyTorch), sums
of integers exactly, everything else in float64 or float32. It prints

  whole    what the outputs of each runtime, and of the float32 reference, differ by from those of float64: relative L2
           norm, the worst output. Where the references differ from each other, roundings carry in the model, and no
           runtime can be held to another one.
  by part  the same when each part of the graph is given what the runtime itself computed before it: parts end where
           activations are quantised. The worst part, and how many codes of the next activation are off by how much.

Needs: pip install onnx onnxruntime torch numpy
"""
import argparse, os, subprocess, sys, tempfile

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

ort.set_default_logger_severity(4)
CONVOLUTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}


def codes(x):
    """DynamicQuantizeLinear in the type of x."""
    lo, hi = min(x.min(), x.dtype.type(0)), max(x.max(), x.dtype.type(0))
    scale = (hi - lo) / x.dtype.type(255) if hi > lo else x.dtype.type(1)
    zero = np.clip(np.rint(-lo / scale), 0, 255)
    return np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8), scale, np.uint8(zero)


class DynamicQuantizeLinear(OpRun):
    op_domain = ""

    def _run(self, x):
        return codes(x)


def convolve(x, w, bias, auto_pad, dilations, group, kernel_shape, pads, strides):
    n = x.ndim - 2
    if auto_pad not in (None, "NOTSET", "VALID"):
        raise NotImplementedError("auto_pad " + auto_pad)
    pads = pads or [0] * 2 * n
    around = [p for k in reversed(range(n)) for p in (pads[k], pads[n + k])]
    x = torch.nn.functional.pad(torch.from_numpy(np.ascontiguousarray(x)), around)
    b = None if bias is None else torch.from_numpy(np.ascontiguousarray(bias).astype(x.numpy().dtype))
    w = torch.from_numpy(np.ascontiguousarray(w).astype(x.numpy().dtype))
    return CONVOLUTIONS[n](x, w, b, strides or 1, 0, dilations or 1, group or 1).numpy()


class ConvInteger(OpRun):
    op_domain = ""

    def _run(self, x, w, x_zero=None, w_zero=None, auto_pad=None, dilations=None, group=None, kernel_shape=None, pads=None, strides=None):
        less = lambda v, zero: v.astype(np.float64) - (0 if zero is None else zero.astype(np.float64).reshape((-1,) + (1,) * (v.ndim - 1)) if zero.ndim else float(zero))
        y = convolve(less(x, x_zero), less(w, w_zero), None, auto_pad, dilations, group, kernel_shape, pads, strides)
        return (y.astype(np.int32),)  # sums in float64 are exact


class Conv(OpRun):
    op_domain = ""

    def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=None, kernel_shape=None, pads=None, strides=None):
        return (convolve(x, w, b, auto_pad, dilations, group, kernel_shape, pads, strides),)


class MatMulInteger(OpRun):
    op_domain = ""

    def _run(self, a, b, a_zero=None, b_zero=None):
        f = lambda v, zero: v.astype(np.float64) - (0 if zero is None else zero.astype(np.float64))
        return (np.rint(f(a, a_zero) @ f(b, b_zero)).astype(np.int32),)


def cast_of(wide):
    """Cast, in which float32 is the type of the reference."""

    class Cast(OpRun):
        op_domain = ""

        def _run(self, x, to=None, saturate=None, round_mode=None):
            return (x.astype(wide if to == onnx.TensorProto.FLOAT else onnx.helper.tensor_dtype_to_np_dtype(to)),)

    return Cast


class Reference:
    def __init__(self, model, wide):
        self.wide = wide
        self.model = ReferenceEvaluator(model, new_ops=[DynamicQuantizeLinear, ConvInteger, Conv, MatMulInteger, cast_of(wide)])

    def run(self, inputs, told=None):
        """All values; where told has one, that is noted beside what was computed, and taken."""
        own = lambda v: v.astype(self.wide) if isinstance(v, np.ndarray) and v.dtype == np.float32 else v
        got = {"": None} | {k: own(v) for k, v in self.model.rt_inits_.items()} | {k: own(v) for k, v in inputs.items()}
        pairs = []
        for node in self.model.rt_nodes_:
            kept = {}
            if node.need_context():
                kept["context"] = got
            for name, value in zip(node.output, node.run(*[got[i] for i in node.input], **kept)):
                value = own(value)
                if told and name in told:
                    pairs.append((name, value, told[name]))
                    value = own(told[name])
                got[name] = value
        return got, pairs


def relative(want, got):
    a, b = np.asarray(want, np.float64), np.asarray(got, np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(a), 1e-30))


def run_gneiss(program, path, inputs, work):
    np.savez(os.path.join(work, "in.npz"), **inputs)
    out = os.path.join(work, "out")
    p = subprocess.run([program, "run", path, "--input", os.path.join(work, "in.npz"), "--output-dir", out], capture_output=True, text=True)
    if p.returncode:
        sys.exit(p.stderr)
    model = onnx.load(path, load_external_data=False)
    safe = lambda name: "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    return {o.name: np.load(os.path.join(out, safe(o.name) + ".npy")) for o in model.graph.output}


def run_ort(path, inputs, level):
    o = ort.SessionOptions()
    o.graph_optimization_level = level
    s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    return dict(zip([v.name for v in s.get_outputs()], s.run(None, inputs)))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("folder")
    a.add_argument("--gneiss", required=True, help="the program")
    o = a.parse_args()
    model = onnx.load(o.model)
    consts = {c.name for c in model.graph.initializer}
    inputs = {}
    for i, name in enumerate(v.name for v in model.graph.input if v.name not in consts):
        t = onnx.TensorProto()
        with open(os.path.join(o.folder, "input_%d.pb" % i), "rb") as f:
            t.ParseFromString(f.read())
        inputs[name] = numpy_helper.to_array(t)
    outputs = [v.name for v in model.graph.output]
    wide, narrow = Reference(model, np.float64), Reference(model, np.float32)
    want = wide.run(inputs)[0]
    worst = lambda got: max(relative(want[n], got[n]) for n in outputs)
    levels = ort.GraphOptimizationLevel
    runs = {"float32 reference": lambda p, w: narrow.run(inputs)[0], "gneiss": lambda p, w: run_gneiss(o.gneiss, p, inputs, w),
            "ort": lambda p, w: run_ort(p, inputs, levels.ORT_ENABLE_ALL), "ort, not optimised": lambda p, w: run_ort(p, inputs, levels.ORT_DISABLE_ALL)}
    # What is quantised is an output, too; the nodes between are joined as before.
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    ends = dict.fromkeys(n.input[0] for n in model.graph.node if n.op_type == "DynamicQuantizeLinear" and n.input[0] not in inputs)
    marked.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ends if n not in outputs)
    print("%-20s %10s   %10s %10s   %s" % ("", "whole", "worst part", "median", "codes of the parts that are off by 1, by more"))
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "marked.onnx")
        onnx.save(marked, path)
        for name, run in runs.items():
            whole = worst(run(o.model, work))
            got = run(path, work)
            _, pairs = wide.run(inputs, {n: got[n] for n in (*ends, *outputs)})
            parts = [(relative(w, g), n) for n, w, g in pairs]
            off = [0, 0, 0]
            for n, w, g in pairs:
                if n in ends:
                    d = np.abs(codes(w)[0].astype(int) - codes(np.asarray(g, np.float64))[0].astype(int))
                    off = [off[0] + int((d == 1).sum()), off[1] + int((d > 1).sum()), off[2] + d.size]
            print("%-20s %10.3g   %10.3g %10.3g   %d, %d of %d; worst: %s" % (name, whole, max(parts)[0], np.median([p for p, _ in parts]), *off, max(parts)[1]), flush=True)


if __name__ == "__main__":
    main()
