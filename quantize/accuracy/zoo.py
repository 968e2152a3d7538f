#!/usr/bin/env python3
"""Quantised models of many kinds beside onnxruntime.quantization: checked, run in both runtimes, compared.

  zoo.py MODELS --gneiss ./gneiss [--only NAME,…] [--forms static,dynamic,int4] [--json FILE]

MODELS has a folder for each model: model.onnx and test_data_set_0 with input_*.pb. Each float model is quantised
with the default settings of Gneiss and of onnxruntime.quantization (after quant_pre_process, as it asks for), static
with the same samples: those of test_data_set_0 and random ones like them. int4 has a second rival, "same": blocks
and symmetry as Gneiss has them by default.

  works   the model is written, or what was left in float is named
  check   onnx.checker passes, with shapes where the original passes with them
  d/own   what Gneiss and ONNX Runtime (all optimisations) differ by in the quantised model, and ONNX Runtime with
          and without optimisations: relative L2 norm of the outputs, the worst of them. Held to 1.5 times the
          latter, at least 0.02; where it is more, with weights of 7 bits (--reduce-range), because ONNX Runtime's
          integer products saturate on processors without VNNI also without optimisations. Where it is more, what each
          runtime differs by from itself when floats of inputs (where there are none, of constants) change by 1e-6, in
          both files, says how far roundings carry in the model; a model that differs by at most 1.5 times that is
          counted apart. witness.py tells which runtime is right.
  SNR     signal-to-noise ratio against float32, mean in dB over outputs, of samples that were not calibrated with:
          of both models in ONNX Runtime without optimisations, where QDQ is computed in float32 (its integer
          kernels saturate on processors without VNNI), and of both in Gneiss.

Needs: pip install onnx onnxruntime onnx_ir sympy numpy
"""
import argparse, glob, json, os, subprocess, sys, tempfile, time

import numpy as np
import onnx
from onnx import numpy_helper
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

ort.set_default_logger_severity(4)
FLOOR, FACTOR = 2e-2, 1.5
FORMS = {"static": [], "dynamic": ["--mode", "dynamic"], "int4": ["--mode", "weight-only"]}
RIVALS = {"static": ["default"], "dynamic": ["default"], "int4": ["default", "same"]}
QUANTISES = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits", "MatMulInteger", "ConvInteger"}


class Failed(Exception):
    pass


class Reader(CalibrationDataReader):
    def __init__(self, batches):
        self.it = iter(batches)

    def get_next(self):
        return next(self.it, None)


def text_of(e):
    return " ".join(str(e).split())[:300] or type(e).__name__


def given(folder, names):
    """The inputs of test_data_set_0."""
    out = {}
    for i, name in enumerate(names):
        t = onnx.TensorProto()
        with open(os.path.join(folder, "test_data_set_0", "input_%d.pb" % i), "rb") as f:
            t.ParseFromString(f.read())
        out[name] = numpy_helper.to_array(t)
    return out


def like(x, rng):
    """Random elements of the kind of x: floats with its mean and deviation within its range, integers of its range
    unless they count (positions) or are all the same (masks)."""
    if x.size < 2 or x.dtype.kind not in "fiu":
        return x
    if x.dtype.kind == "f":
        y = rng.normal(x.mean(dtype=np.float64), x.std(dtype=np.float64), x.shape)
        return np.clip(y, x.min(), x.max()).astype(x.dtype)
    if (np.diff(x, axis=-1) == 1).all():
        return x
    return rng.integers(x.min(), x.max(), x.shape, x.dtype, endpoint=True)


def run_ort(path, batches, level):
    o = ort.SessionOptions()
    o.graph_optimization_level = level
    s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    return [s.run(None, b) for b in batches]


def call(program, *args):
    p = subprocess.run([program, *args], capture_output=True, text=True)
    if p.returncode:
        raise Failed(p.stderr.strip() or "exit code %d" % p.returncode)
    return p.stdout


def run_gneiss(program, path, batches, names, work):
    res = []
    for b in batches:
        np.savez(os.path.join(work, "in.npz"), **b)
        with tempfile.TemporaryDirectory(dir=work) as out:
            call(program, "run", path, "--input", os.path.join(work, "in.npz"), "--output-dir", out)
            res.append([load(out, n) for n in names])
    return res


def load(folder, name):
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    for n in (name, safe):
        p = os.path.join(folder, n + ".npy")
        if os.path.exists(p):
            return np.load(p)
    return None


def pairs(want, got):
    """Float outputs, by output: the elements of all batches."""
    for i in range(len(want[0])):
        a, b = [w[i] for w in want], [g[i] for g in got]
        if any(not isinstance(x, np.ndarray) or x.dtype.kind != "f" for x in a + b) or any(x.shape != y.shape for x, y in zip(a, b)):
            continue
        flat = lambda l: np.concatenate([x.ravel() for x in l]).astype(np.float64)
        if sum(x.size for x in a):
            yield flat(a), flat(b)


def relative(want, got):
    return max((float(np.linalg.norm(a - b) / max(np.linalg.norm(a), 1e-30)) for a, b in pairs(want, got)), default=float("nan"))


def snr(want, got):
    """In dB; 140 is what float32 tells apart."""
    each = [min(140, 10 * np.log10((a**2).sum() / max(((a - b) ** 2).sum(), 1e-30))) for a, b in pairs(want, got) if a.any()]
    return float(np.mean(each)) if each else float("nan")


def check(path, full):
    onnx.checker.check_model(path, full_check=full)


def passes(f, *args):
    try:
        f(*args)
        return True
    except Exception:
        return False


def preprocessed(src, dst):
    """quant_pre_process; without symbolic shapes where it cannot infer them."""
    for skip in (False, True):
        try:
            quant_pre_process(src, dst, skip_symbolic_shape=skip)
            return dst
        except Exception as e:
            last = e
    print("  quant_pre_process: " + text_of(last), file=sys.stderr)
    return src


def theirs(form, rival, src, dst, batches):
    if form == "static":
        quantize_static(src, dst, Reader(batches))
    elif form == "dynamic":
        quantize_dynamic(src, dst)
    else:
        q = MatMulNBitsQuantizer(onnx.load(src)) if rival == "default" else MatMulNBitsQuantizer(onnx.load(src), block_size=32, is_symmetric=True)
        q.process()
        q.model.save_model_to_file(dst)


def left(layers):
    """Counts of what was left as it was, by operator and reason."""
    count = {}
    for l in layers:
        if not l.get("format"):
            if not l.get("reason"):
                raise Failed("no reason why %s %s was left" % (l["op"], l["node"]))
            key = l["op"] + ": " + l["reason"].split('"')[0]
            count[key] = count.get(key, 0) + 1
    return count


def measure(o, name):
    """The rows of a model, one for each form."""
    folder = os.path.join(o.models, name)
    src = os.path.join(folder, "model.onnx")
    graph = onnx.load(src, load_external_data=False).graph
    consts = {c.name for c in graph.initializer}
    names = [i.name for i in graph.input if i.name not in consts]
    outputs = [v.name for v in graph.output]
    first = given(folder, names)
    rng = np.random.default_rng(1)
    draw = lambda: {k: like(v, rng) for k, v in first.items()}
    batches = [first] + [draw() for _ in range(o.samples - 1)]
    held = [draw() for _ in range(o.held or max(4, min(64, (256 << 20) // os.path.getsize(src))))]
    with tempfile.TemporaryDirectory() as work:
        at = lambda n: os.path.join(work, n)
        os.mkdir(at("calib"))
        for i, b in enumerate(batches):
            np.savez(at("calib/%03d.npz" % i), **b)
        want = run_ort(src, held, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        full = passes(check, src, True)
        pre = None
        for form in o.forms.split(","):
            row = dict(model=name, form=form, bytes=os.path.getsize(src))
            flags = FORMS[form] + (["--calibrate", at("calib")] if form == "static" else [])
            mine = at("a.onnx")
            if ours(o, row, src, mine, flags, full, want, held, outputs, work):
                pre = pre or preprocessed(src, at("pre.onnx"))
                for rival in RIVALS[form]:
                    row[rival] = rated(o, form, rival, pre, at("b.onnx"), batches, want, held, outputs, work)
            print("\n" + json.dumps(row), flush=True)


def ours(o, row, src, dst, flags, full, want, held, outputs, work):
    """Quantises by Gneiss and notes what comes of it; False if that is refused."""
    t = time.time()
    try:
        res = json.loads(call(o.gneiss, "quantize", src, "-o", dst, "--no-bench", "--json", *flags))
    except Failed as e:
        row["refused"] = text_of(e)
        return False
    layers = res.get("layers") or []
    row.update(seconds=time.time() - t, our_bytes=os.path.getsize(dst), quantised=sum(bool(l.get("format")) for l in layers), nodes=len(layers), left=left(layers))
    try:
        check(dst, full)
        row["check"] = True
    except Exception as e:
        row["check"] = text_of(e)
    try:
        row["own"], plain, fast = own(dst, held)
        row["snr_ort"] = snr(want, plain)
    except Exception as e:
        row["ort_fails"] = text_of(e)
        fast = None
    try:
        got = run_gneiss(o.gneiss, dst, held, outputs, work)
        row["snr_gneiss"] = snr(want, got)
        if fast:
            row["differs"] = relative(fast, got)
        if fast and row["differs"] > bound(row):
            near, moved = unrest(dst, held, work)
            row["jitter"] = relative(fast, run_ort(moved, near, ort.GraphOptimizationLevel.ORT_ENABLE_ALL))
            row["jitter_gneiss"] = relative(got, run_gneiss(o.gneiss, moved, near, outputs, work))
        if "jitter" in row and row["form"] != "int4":  # do ONNX Runtime's products saturate?
            call(o.gneiss, "quantize", src, "-o", dst, "--no-bench", "--reduce-range", *flags)
            row["own7"], _, fast = own(dst, held)
            row["differs7"] = relative(fast, run_gneiss(o.gneiss, dst, held, outputs, work))
            near, moved = unrest(dst, held, work)
            row["jitter7"] = relative(fast, run_ort(moved, near, ort.GraphOptimizationLevel.ORT_ENABLE_ALL))
    except Exception as e:
        row["gneiss_fails"] = text_of(e)
    return True


def jittered(v, rng):
    """The same floats but for their last digits."""
    return (v * (1 + 1e-6 * rng.standard_normal(v.shape))).astype(v.dtype) if v.dtype.kind == "f" else v


def unrest(path, held, work):
    """Inputs like held and a model to give them to: floats of inputs or, if there are none, of the model's constants are jittered."""
    rng = np.random.default_rng(0)
    if any(v.dtype.kind == "f" for b in held for v in b.values()):
        return [{k: jittered(v, rng) for k, v in b.items()} for b in held], path
    model = onnx.load(path)
    for c in model.graph.initializer:
        if c.data_type == onnx.TensorProto.FLOAT:
            c.CopyFrom(numpy_helper.from_array(jittered(numpy_helper.to_array(c), rng), c.name))
    moved = os.path.join(work, "moved.onnx")
    onnx.save(model, moved)
    return held, moved


def own(path, held):
    """What ONNX Runtime differs by from itself, and both of its results."""
    plain = run_ort(path, held, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    fast = run_ort(path, held, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    return relative(plain, fast), plain, fast


def rated(o, form, rival, src, dst, batches, want, held, outputs, work):
    """The figures of ONNX Runtime's quantised model."""
    r = {}
    try:
        theirs(form, rival, src, dst, batches)
        r["bytes"] = os.path.getsize(dst)
        ops = {n.op_type for n in onnx.load(dst, load_external_data=False).graph.node}
        r["quantised"] = any(op in QUANTISES or op.startswith(("QLinear", "DynamicQuantize")) for op in ops)
        r["snr_ort"] = snr(want, run_ort(dst, held, ort.GraphOptimizationLevel.ORT_DISABLE_ALL))
        r["snr_gneiss"] = snr(want, run_gneiss(o.gneiss, dst, held, outputs, work))
    except Exception as e:
        r["fails"] = text_of(e)
    return r


def problems(r):
    """What is wrong with a row, by the names of the head comment."""
    bad = []
    if "error" in r:
        return ["sweep: " + r["error"]]
    if "refused" in r:
        return []
    if r["check"] is not True:
        bad.append("check: " + r["check"])
    for k in ("ort_fails", "gneiss_fails"):
        if k in r:
            bad.append(k + ": " + r[k])
    if far(r) and not carries(r):
        bad.append(distance(r))
    return bad


def far(r):
    """Whether both runtimes differ by more than they may, with weights of 7 bits too."""
    return "differs" in r and r["differs"] > bound(r) and not r.get("differs7", np.inf) <= bound(r, "7")


def carries(r):
    """Whether they differ by no more than roundings of the inputs make, where nothing saturates."""
    return r["differs"] <= FACTOR * max(r.get("jitter", 0), r.get("jitter_gneiss", 0)) or r.get("differs7", np.inf) <= FACTOR * r.get("jitter7", 0)


def distance(r):
    text = "differs by %.3g, allowed %.3g" % (r["differs"], bound(r))
    if "jitter" in r:
        text += "; where floats of inputs or constants change by 1e-6, ONNX Runtime differs from itself by %.3g, Gneiss by %.3g" % (r["jitter"], r.get("jitter_gneiss", np.nan))
    if "differs7" in r:
        text += "; with weights of 7 bits by %.3g, allowed %.3g, ONNX Runtime from itself by %.3g" % (r["differs7"], bound(r, "7"), r.get("jitter7", np.nan))
    return text


def bound(r, bits=""):
    return max(FLOOR, FACTOR * r["own" + bits])


def at_least(r, rival, runtime, slack=0.005):
    """Whether our SNR is not below the rival's by more than slack dB; None: there is nothing to compare."""
    a, b = r.get("snr_" + runtime), r.get(rival, {}).get("snr_" + runtime)
    if a is None or b is None or np.isnan(a) or np.isnan(b) or not r[rival]["quantised"]:
        return None
    return a >= b - slack


def show(r):
    f = lambda d, k: "%7.2f" % d[k] if k in d else "%7s" % "-"
    head = "%-26s %-8s" % (r["model"], r["form"])
    if "refused" in r or "error" in r:
        print(head, r.get("refused") or "ERROR " + r["error"], flush=True)
        return
    g = lambda k: "%8.2g" % r[k] if k in r else "%8s" % "-"
    cells = [head, "%4d/%-4d" % (r["quantised"], r["nodes"]), "%.3f" % (r["our_bytes"] / r["bytes"]), g("differs"), g("own"), f(r, "snr_ort"), f(r, "snr_gneiss")]
    for rival in RIVALS[r["form"]]:
        d = r[rival]
        below = [k for k in ("ort", "gneiss") if at_least(r, rival, k) is False]
        cells += ["|", f(d, "snr_ort"), f(d, "snr_gneiss"), "%.3f" % (d.get("bytes", 0) / r["bytes"]), "BELOW in " + ",".join(below) if below else d.get("fails", "" if d.get("quantised") else "nothing quantised")[:60]]
    print(*cells, flush=True)
    for p in problems(r):
        print("    " + p, flush=True)
    if far(r) and carries(r):
        print("    (roundings carry: " + distance(r) + ")", flush=True)


def summary(rows):
    for form, rivals in RIVALS.items():
        rs = [r for r in rows if r["form"] == form]
        if not rs:
            continue
        done = [r for r in rs if "quantised" in r]
        print("%s: %d models, %d quantised, %d refused with a reason, %d with problems, %d differ by what roundings carry"
              % (form, len(rs), len(done), sum("refused" in r for r in rs), sum(bool(problems(r)) for r in rs), sum(far(r) and carries(r) for r in done)))
        for rival in rivals:
            for runtime in ("ort", "gneiss"):
                for what, slack, size in (("", 0.005, np.inf), (", within 0.2 dB", 0.2, np.inf), (", within 0.2 dB, of files at most 1.25 times as large", 0.2, 1.25)):
                    won = [at_least(r, rival, runtime, slack) for r in done if r[rival].get("bytes", 0) <= size * r["our_bytes"]]
                    known = [w for w in won if w is not None]
                    print("  SNR in %s at least that of ort %s%s: %d of %d" % (runtime, rival, what, sum(known), len(known)))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("models")
    a.add_argument("--gneiss", required=True, help="the program")
    a.add_argument("--only", help="these models")
    a.add_argument("--forms", default=",".join(FORMS))
    a.add_argument("--samples", type=int, default=4, help="batches to calibrate with")
    a.add_argument("--held", type=int, default=0, help="batches to compare with (0: 4 to 64, the more the smaller the model)")
    a.add_argument("--timeout", type=int, default=1800, help="seconds for one model")
    a.add_argument("--json", help="write every figure to this file")
    a.add_argument("--one", help=argparse.SUPPRESS)  # a model, in a process of its own
    o = a.parse_args()
    if o.one:
        measure(o, o.one)
        return
    names = [os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(o.models, "*", "model.onnx"))]
    size = lambda n: os.path.getsize(os.path.join(o.models, n, "model.onnx"))
    names = sorted((n for n in names if "@" not in n and (not o.only or n in o.only.split(","))), key=size)
    rows = []
    print("%-26s %-8s %-9s %-5s %8s %8s %7s %7s | ORT: %s" % ("model", "form", "nodes", "size", "differs", "own", "SNR ort", "gneiss", "SNR ort, gneiss, size"))
    for name in names:
        cmd = [sys.executable, __file__, o.models, "--gneiss", o.gneiss, "--samples", str(o.samples), "--held", str(o.held), "--forms", o.forms, "--one", name]
        error = "it ended early"
        try:
            p = subprocess.run(cmd, capture_output=True, text=True, timeout=o.timeout)
            out = p.stdout
            if p.returncode:
                error = text_of(p.stderr[-300:])
        except subprocess.TimeoutExpired as e:
            out, error = (e.stdout or b"").decode(), "more than %d s" % o.timeout
        got = {r["form"]: r for r in (json.loads(l) for l in out.splitlines() if l.startswith('{"model"'))}
        for form in o.forms.split(","):
            row = got.get(form) or dict(model=name, form=form, error=error)
            rows.append(row)
            show(row)
        if o.json:
            with open(o.json, "w") as f:
                json.dump(rows, f, indent=1)
    summary(rows)


if __name__ == "__main__":
    main()
