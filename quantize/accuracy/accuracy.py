#!/usr/bin/env python3
"""Accuracy of quantised classifiers beside onnxruntime.quantization, by cross-validation.

  accuracy.py --gneiss ./gneiss [--folds 5] [--seeds 5] [--models cnn_digits,mlp_wine] [--json FILE]

Trains small networks with PyTorch on the data sets that scikit-learn's wheel holds (digits, wine, breast cancer),
exports them, quantises each by Gneiss and by onnxruntime.quantization with the same calibration samples and
settings, and prints for each form the accuracy on the samples that were held out, the loss relative to float32 and
the signal-to-noise ratio of the logits: means over folds and seeds, and the standard error of the difference
between both quantisers. Models of Gneiss run in Gneiss, those of ONNX Runtime in ONNX Runtime.

Needs: pip install torch onnx onnxruntime onnxscript scikit-learn numpy
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, warnings

warnings.filterwarnings("ignore")
import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import StratifiedKFold

nn = torch.nn
ort.set_default_logger_severity(3)


class Last(nn.Module):
    """The last state of a recurrent network over the rows of an image, and a linear layer."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(8, 64, batch_first=True)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(8, 64)
        self.pos = nn.Parameter(torch.randn(8, 64) * 0.1)
        layer = nn.TransformerEncoderLayer(64, 4, 128, 0.0, batch_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return self.out(self.enc(self.inp(x) + self.pos).mean(1))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mlp(n, classes):
    return lambda: nn.Sequential(nn.Linear(n, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))


def table(load):
    d = load()
    return d.data.astype(np.float32), d.target


def digits(*shape):
    def load():
        x, y = table(load_digits)
        return x.reshape(-1, *shape) / 16, y

    return load


MODELS = {
    "cnn_digits": (cnn, digits(1, 8, 8)),
    "mlp_digits": (mlp(64, 10), digits(64)),
    "mlp_wine": (mlp(13, 3), lambda: table(load_wine)),
    "mlp_cancer": (mlp(30, 2), lambda: table(load_breast_cancer)),
    "rnn_digits": (lambda: Last(nn.RNN), digits(8, 8)),
    "gru_digits": (lambda: Last(nn.GRU), digits(8, 8)),
    "lstm_digits": (lambda: Last(nn.LSTM), digits(8, 8)),
    "transformer_digits": (Encoder, digits(8, 8)),
}


def train(make, x, y, seed, epochs=40):
    torch.manual_seed(seed)
    m = make()
    opt = torch.optim.Adam(m.parameters(), 2e-3)
    x, y = torch.tensor(x), torch.tensor(y)
    for _ in range(epochs):
        m.train()
        order = torch.randperm(len(x))
        for i in range(0, len(x), 64):
            b = order[i : i + 64]
            if len(b) < 2:
                continue
            opt.zero_grad()
            nn.functional.cross_entropy(m(x[b]), y[b]).backward()
            opt.step()
    return m.eval()


class Reader(CalibrationDataReader):
    def __init__(self, batches):
        self.it = iter([{"x": b} for b in batches])

    def get_next(self):
        return next(self.it, None)


def run_ort(path, x):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def run_gneiss(program, path, x, work):
    np.save(os.path.join(work, "in.npy"), x)
    out = os.path.join(work, "out")
    call(program, "run", path, "--input", "x=" + os.path.join(work, "in.npy"), "--output-dir", out)
    return np.load(os.path.join(out, "y.npy"))


def call(*args):
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode:
        sys.exit("%s\n%s" % (" ".join(args), p.stderr))


def snr(want, got):
    return 10 * np.log10((want**2).sum() / max(((want - got) ** 2).sum(), 1e-30))


def ours(program, form, src, dst, calib):
    flags = {
        "static": ["--calibrate", calib, "--method", "minmax"],
        "dynamic": ["--mode", "dynamic"],
        "int4": ["--mode", "weight-only", "--bits", "4", "--block", "32"],
    }[form]
    call(program, "quantize", src, "-o", dst, "--no-bench", *flags)


def theirs(form, src, dst, batches):
    if form == "static":
        quantize_static(src, dst, Reader(batches), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax)
    elif form == "dynamic":
        quantize_dynamic(src, dst, per_channel=True, weight_type=QuantType.QInt8)
    else:
        q = MatMulNBitsQuantizer(onnx.load(src), bits=4, block_size=32, is_symmetric=True)
        q.process()
        q.model.save_model_to_file(dst)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--gneiss", required=True, help="the program")
    a.add_argument("--folds", type=int, default=5)
    a.add_argument("--seeds", type=int, default=5)
    a.add_argument("--models", default=",".join(MODELS))
    a.add_argument("--json", help="write every figure to this file")
    o = a.parse_args()
    torch.set_num_threads(2)
    rows = []
    print(f"{'model':20} {'form':8} {'float32':>8} {'gneiss':>8} {'ort':>8} {'lost':>7} {'ort lost':>8} {'diff':>7} {'± s.e.':>7} {'SNR':>6} {'ort SNR':>7}")
    for name in o.models.split(","):
        make, load = MODELS[name]
        x, y = load()
        got = {f: [] for f in ("static", "dynamic", "int4")}
        for seed in range(o.seeds):
            for tr, te in StratifiedKFold(o.folds, shuffle=True, random_state=seed).split(x, y):
                with tempfile.TemporaryDirectory() as work:
                    at = lambda n: os.path.join(work, n)
                    mean, std = (x[tr].mean(0), x[tr].std(0) + 1e-6) if x.ndim == 2 else (0, 1)
                    xs = ((x - mean) / std).astype(np.float32)
                    m = train(make, xs[tr], y[tr], seed)
                    torch.onnx.export(m, (torch.tensor(xs[:2]),), at("m.onnx"), dynamo=False, opset_version=17, input_names=["x"],
                                      output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}})
                    calib = xs[tr][:256]
                    batches = [calib[i : i + 32] for i in range(0, len(calib), 32)]
                    os.mkdir(at("calib"))
                    for i, b in enumerate(batches):
                        np.savez(at("calib/%03d.npz" % i), x=b)
                    want = run_ort(at("m.onnx"), xs[te])
                    acc = lambda s: float((s.argmax(1) == y[te]).mean())
                    for form in got:
                        ours(o.gneiss, form, at("m.onnx"), at("a.onnx"), at("calib"))
                        theirs(form, at("m.onnx"), at("b.onnx"), batches)
                        g, t = run_gneiss(o.gneiss, at("a.onnx"), xs[te], work), run_ort(at("b.onnx"), xs[te])
                        got[form].append((acc(want), acc(g), acc(t), snr(want, g), snr(want, t)))
        for form, r in got.items():
            f, g, t, sg, st = (statistics.mean(c) for c in zip(*r))
            d = [p[1] - p[2] for p in r]
            se = statistics.stdev(d) / len(d) ** 0.5 if len(d) > 1 else 0
            rows.append(dict(model=name, form=form, runs=len(r), float32=f, gneiss=g, ort=t, lost=(f - g) / f, ort_lost=(f - t) / f,
                             diff=statistics.mean(d), standard_error=se, snr=sg, ort_snr=st))
            print(f"{name:20} {form:8} {f:8.4f} {g:8.4f} {t:8.4f} {(f-g)/f:7.2%} {(f-t)/f:8.2%} {statistics.mean(d):7.4f} {se:7.4f} {sg:6.1f} {st:7.1f}", flush=True)
    if o.json:
        json.dump(rows, open(o.json, "w"), indent=1)


if __name__ == "__main__":
    main()
