#!/usr/bin/env python3
"""Accuracy of quantised classifiers beside onnxruntime.quantization, by cross-validation.

  accuracy.py --gneiss ./gneiss [--folds 5] [--seeds 5] [--models cnn_digits,mlp_wine] [--json FILE] [--markdown FILE]

Trains small networks with PyTorch on the data sets that scikit-learn's wheel holds (digits, wine, breast cancer),
exports them, quantises each by Gneiss and by onnxruntime.quantization with the same calibration samples and
settings, and prints for each form the accuracy on the samples that were held out, the loss relative to float32 and
the signal-to-noise ratio of the logits: means over folds and seeds, and the standard error of the difference
between both quantisers. Each network is trained once for a fold and a seed; all forms are made of it.

Models of Gneiss run in Gneiss. Those of ONNX Runtime run in ONNX Runtime, whose products of uint8 and int8 saturate
in 16 bits on processors without VNNI, and in Gneiss, where they do not ("ort, in gneiss"): the latter tells the
quantiser from the runtime.

Needs: pip install torch onnx onnxruntime onnxscript scikit-learn numpy
"""
import argparse, json, logging, math, os, platform, statistics, subprocess, sys, tempfile, warnings

warnings.filterwarnings("ignore")
import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import StratifiedKFold

nn = torch.nn
ort.set_default_logger_severity(3)
logging.disable(logging.WARNING)


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
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


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


def train(make, x, y, seed, epochs):
    torch.manual_seed(seed)
    m = make()
    opt = torch.optim.Adam(m.parameters())
    x, y = torch.tensor(x), torch.tensor(y)
    starts = range(0, len(x) - 1, 64)  # no batch of one sample, which has no variance
    rate = torch.optim.lr_scheduler.OneCycleLR(opt, 6e-3, total_steps=epochs * len(starts))
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in starts:
            b = order[i : i + 64]
            opt.zero_grad()
            nn.functional.cross_entropy(m(x[b]), y[b]).backward()
            opt.step()
            rate.step()
    return m.eval()


def standardise(x, train):
    """Columns with mean 0 and deviation 1 over the rows of train; one that is constant there keeps its scale."""
    if x.ndim > 2:
        return x
    std = x[train].std(0)
    return ((x - x[train].mean(0)) / np.where(std > 1e-6, std, 1)).astype(np.float32)


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
    return 10 * math.log10((want**2).sum() / max(((want - got) ** 2).sum(), 1e-12 * (want**2).sum()))


def ours(program, form, src, dst, calib):
    flags = {
        "static": ["--calibrate", calib, "--method", "minmax"],
        "dynamic": ["--mode", "dynamic"],
        "int4": ["--mode", "weight-only", "--bits", "4", "--block", "32"],
    }[form]
    call(program, "quantize", src, "-o", dst, "--no-bench", *flags)


def theirs(form, src, dst, batches):
    if form == "int4":  # which knows MatMul only
        m = ONNXModel(onnx.load(src))
        m.replace_gemm_with_matmul()
        q = MatMulNBitsQuantizer(m.model, bits=4, block_size=32, is_symmetric=True)
        q.process()
        q.model.save_model_to_file(dst)
        return
    quant_pre_process(src, dst + ".pre", skip_symbolic_shape=True)
    if form == "static":
        quantize_static(dst + ".pre", dst, Reader(batches), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax)
    else:
        quantize_dynamic(dst + ".pre", dst, per_channel=True, weight_type=QuantType.QInt8)


def one(o, work, m, xs, y, tr, te):
    """Accuracies and ratios of the forms of one trained network."""
    at = lambda n: os.path.join(work, n)
    torch.onnx.export(m, (torch.tensor(xs[:2]),), at("m.onnx"), dynamo=False, opset_version=17, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}})
    calib = xs[tr][:256]
    batches = [calib[i : i + 32] for i in range(0, len(calib), 32)]
    os.mkdir(at("calib"))
    for i, b in enumerate(batches):
        np.savez(at("calib/%03d.npz" % i), x=b)
    want = run_ort(at("m.onnx"), xs[te])
    acc = lambda scores: float((scores.argmax(1) == y[te]).mean())
    got = {}
    for form in FORMS:
        ours(o.gneiss, form, at("m.onnx"), at("a.onnx"), at("calib"))
        theirs(form, at("m.onnx"), at("b.onnx"), batches)
        outs = run_gneiss(o.gneiss, at("a.onnx"), xs[te], work), run_ort(at("b.onnx"), xs[te]), run_gneiss(o.gneiss, at("b.onnx"), xs[te], work)
        got[form] = [acc(want), *map(acc, outs), *(snr(want, out) for out in outs)]
    return got


FORMS = "static", "dynamic", "int4"
HEAD = "model form runs float32 gneiss ort ort/gneiss lost ort-lost diff s.e. SNR ort-SNR ort/gneiss-SNR".split()


def row(name, form, r):
    f, g, t, v, sg, st, sv = map(statistics.mean, zip(*r))
    d = [p[1] - p[2] for p in r]
    se = statistics.stdev(d) / len(d) ** 0.5 if len(d) > 1 else 0
    return dict(model=name, form=form, runs=len(r), float32=f, gneiss=g, ort=t, ort_in_gneiss=v, lost=(f - g) / f, ort_lost=(f - t) / f,
                diff=statistics.mean(d), standard_error=se, snr=sg, ort_snr=st, ort_in_gneiss_snr=sv)


def text(r):
    a, p, d = "{:.2%}", "{:+.2%}", "{:.1f}"
    return [r["model"], r["form"], str(r["runs"])] + [f.format(r[k]) for f, k in (
        (a, "float32"), (a, "gneiss"), (a, "ort"), (a, "ort_in_gneiss"), (p, "lost"), (p, "ort_lost"), (p, "diff"), (a, "standard_error"),
        (d, "snr"), (d, "ort_snr"), (d, "ort_in_gneiss_snr"))]


def vnni():
    try:
        return "vnni" in open("/proc/cpuinfo").read()
    except OSError:
        return None


def page(rows, o):
    """The table as Markdown."""
    bound = lambda r: 0.01 if r["model"].split("_")[0] in ("rnn", "gru", "lstm", "transformer") else 0.005
    much = ["%s %s: %+.2f%%" % (r["model"], r["form"], 100 * r["lost"]) for r in rows if r["lost"] > bound(r)]
    below = ["%s %s: %+.2f%% ± %.2f%%" % (r["model"], r["form"], 100 * r["diff"], 100 * r["standard_error"]) for r in rows if r["diff"] < -r["standard_error"] - 1e-9]
    saturates = {True: "has VNNI, so nothing saturates", False: "has no VNNI: ONNX Runtime's products of uint8 and int8 saturate in 16 bits", None: "is not known to have VNNI"}[vnni()]
    lines = [
        "# Accuracy of quantised classifiers", "",
        "Networks trained on data sets of scikit-learn, quantised by Gneiss and by onnxruntime.quantization %s with the same calibration samples and" % ort.__version__,
        "settings: means over %d folds and %d seeds on the samples that were held out. Gneiss's models run in Gneiss, ONNX Runtime's in" % (o.folds, o.seeds),
        "ONNX Runtime, and also in Gneiss (*ort in gneiss*). Lost is relative to float32; diff is the accuracy of Gneiss minus that of ONNX Runtime,",
        "with its standard error; SNR, in dB, is of the logits. The processor (%s) %s." % (o.machine or platform.machine(), saturates), "",
        "```", "python quantize/accuracy/accuracy.py --gneiss gneiss --folds %d --seeds %d --markdown docs/accuracy.md" % (o.folds, o.seeds), "```", "",
        "| " + " | ".join(["model", "form", "runs", "float32", "gneiss", "ort", "ort in gneiss", "lost", "ort lost", "diff", "s.e.", "SNR", "ort SNR", "ort in gneiss SNR"]) + " |",
        "|---|---|" + "--:|" * 12,
        *("| " + " | ".join(text(r)) + " |" for r in rows), "",
        "Lost more than 0.5% (CNN, MLP) or 1% (RNN, GRU, LSTM, transformer): " + (", ".join(much) or "none") + ".", "",
        "Below ONNX Runtime by more than one standard error: " + (", ".join(below) or "none") + ".",
    ]
    return "\n".join(lines) + "\n"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--gneiss", required=True, help="the program")
    a.add_argument("--folds", type=int, default=5)
    a.add_argument("--seeds", type=int, default=5)
    a.add_argument("--epochs", type=int, default=20)
    a.add_argument("--models", default=",".join(MODELS))
    a.add_argument("--machine", help="what the page calls the processor")
    a.add_argument("--json", help="write every figure to this file")
    a.add_argument("--markdown", help="write the table to this file")
    o = a.parse_args()
    torch.set_num_threads(1)
    rows = []
    widths = [max(9, len(h) + 1) for h in HEAD]
    widths[0] = 19
    show = lambda cells: print("".join(c.rjust(w) if k > 1 else c.ljust(w) for k, (c, w) in enumerate(zip(cells, widths))), flush=True)
    show(HEAD)
    for name in o.models.split(","):
        make, load = MODELS[name]
        x, y = load()
        got = {f: [] for f in FORMS}
        for seed in range(o.seeds):
            for tr, te in StratifiedKFold(o.folds, shuffle=True, random_state=seed).split(x, y):
                xs = standardise(x, tr)
                with tempfile.TemporaryDirectory() as work:
                    for form, figures in one(o, work, train(make, xs[tr], y[tr], seed, o.epochs), xs, y, tr, te).items():
                        got[form].append(figures)
        for form in FORMS:
            rows.append(row(name, form, got[form]))
            show(text(rows[-1]))
        if o.json:
            with open(o.json, "w") as f:
                json.dump(rows, f, indent=1)
        if o.markdown:
            with open(o.markdown, "w") as f:
                f.write(page(rows, o))


if __name__ == "__main__":
    main()
