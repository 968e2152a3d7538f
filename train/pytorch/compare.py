"""Holds training in Gneiss against PyTorch.

Each model is exported by both of PyTorch's exporters, trained by the command in
step/ and by PyTorch on the same batches, and written back:

  gradients  of each parameter, on the first batch: the L2 norm of the difference
             over max(norm, 1e-3 * sqrt(n) * RMS of all gradients); limit 1e-4 from
             PyTorch in float64, and from PyTorch in float32 what its own rounding
             adds to that
  losses     of 50 steps of Adam: the largest difference; limit 1e-3
  exports    in several opsets: onnx.checker, then the largest difference of outputs,
             relative to the largest output, from Gneiss's own: of ONNX Runtime, of
             onnx2torch, and of the PyTorch module with the exported weights; limit 1e-4

Networks that Gneiss builds go through the same exports.

With --mixed the losses of 50 steps in mixed precision are compared instead: how far
PyTorch's torch.autocast(bfloat16) and Gneiss's MixedPrecision lie from each other, each
from its own float32, and how far a network goes from float32 when nothing but its first
weights are rounded to bfloat16 and back, as a measure of what rounding does to it: means
over steps and seeds. Limit: Gneiss's distance from float32 is at most twice PyTorch's, or 0.002.

Parameters are matched element by element, by value: all values are made
distinct before the export, so transposed, split, joined and reordered weights
are found wherever an exporter puts them.

  go build -o step ./train/pytorch/step
  python train/pytorch/compare.py --step ./step

Needs torch, transformers, onnx, onnxscript, onnxruntime and onnx2torch.
"""

import argparse
import contextlib
import copy
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import nn
from torch.nn import functional as F

STEPS, RATE = 50, 0.003


class MLP(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(20, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 24), nn.Tanh(), nn.Dropout(0.0), nn.Linear(24, 5))


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.down = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=4)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.gelu(self.down(self.features(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.lstm = nn.LSTM(16, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        y, _ = self.lstm(self.embedding(x))
        return self.head(y.mean(1))


class BERT(nn.Module):
    def __init__(self, attention):
        super().__init__()
        from transformers import BertConfig, BertForSequenceClassification
        self.model = BertForSequenceClassification(BertConfig(
            vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=16, num_labels=5,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation=attention))

    def forward(self, x, mask):
        return self.model(input_ids=x, attention_mask=mask).logits


class GPT(nn.Module):
    def __init__(self, attention):
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel
        self.model = GPT2LMHeadModel(GPT2Config(
            vocab_size=60, n_positions=16, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            attn_implementation=attention, tie_word_embeddings=False, use_cache=False, bos_token_id=0, eos_token_id=0))

    def forward(self, x):
        return self.model(input_ids=x, use_cache=False).logits


class ViT(nn.Module):
    def __init__(self, attention):
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification
        self.model = ViTForImageClassification(ViTConfig(
            image_size=16, patch_size=4, num_channels=3, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=5,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation=attention))

    def forward(self, x):
        return self.model(pixel_values=x).logits


class EncoderLayers(nn.Module):
    """PyTorch's own transformer layers, behind a GRU."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.gru = nn.GRU(16, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, activation="gelu"), 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        y, _ = self.gru(self.embedding(x))
        return self.head(self.encoder(y)[:, -1])


class PlainGPT(nn.Module):
    """A decoder without a library, which both exporters take."""

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(60, 32), nn.Parameter(torch.zeros(12, 32))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(5))
        self.qkv, self.out = (nn.ModuleList(nn.Linear(32, n) for _ in range(2)) for n in (96, 32))
        self.up, self.down = nn.ModuleList(nn.Linear(32, 64) for _ in range(2)), nn.ModuleList(nn.Linear(64, 32) for _ in range(2))
        self.head = nn.Linear(32, 60, bias=False)

    def forward(self, x):
        h = self.tokens(x) + self.positions
        for i in range(2):
            q, k, v = (p.unflatten(2, (2, 16)).transpose(1, 2) for p in self.qkv[i](self.norms[2 * i](h)).chunk(3, 2))
            h = h + self.out[i](F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
            h = h + self.down[i](F.gelu(self.up[i](self.norms[2 * i + 1](h)), approximate="tanh"))
        return self.head(self.norms[4](h))


def floats(rng, *shape):
    return rng.standard_normal((STEPS, *shape)).astype(np.float32)


def batches(name, rng):
    """Inputs by name, and the target, all with STEPS batches along the first dimension."""
    if name == "mlp":
        b = {"x": floats(rng, 16, 20)}
    elif name == "cnn":
        b = {"x": floats(rng, 8, 3, 16, 16)}
    elif name in ("lstm", "gru", "encoder"):
        b = {"x": rng.integers(0, 50, (STEPS, 8, 10))}
    elif name.startswith("bert"):
        # 0 pads: PyTorch's embedding has no gradient for it, which ONNX cannot say, so it is only where the mask hides it.
        b = {"x": rng.integers(1, 60, (STEPS, 8, 12)), "mask": np.ones((STEPS, 8, 12), np.int64)}
        for i in range(STEPS):
            for j in range(8):
                b["mask"][i, j, rng.integers(4, 13):] = 0
        b["x"] *= b["mask"]
    elif name.startswith(("gpt", "plain")):
        b = {"x": rng.integers(0, 60, (STEPS, 4, 12))}
        return repeated(b, rng.integers(0, 60, (STEPS, 4, 12)))
    else:
        b = {"x": floats(rng, 8, 3, 16, 16)}
    n = next(iter(b.values())).shape[1]
    return repeated(b, rng.integers(0, 5, (STEPS, n)))


def repeated(inputs, target):
    """The first batches again and again: the loss must fall."""
    order = np.arange(STEPS) % 5
    return {n: v[order] for n, v in inputs.items()}, target[order]


MODELS = {
    "mlp": MLP, "cnn": CNN, "lstm": LSTM, "encoder": EncoderLayers,
    "bert": lambda: BERT("eager"), "bert-sdpa": lambda: BERT("sdpa"),
    "plain-gpt": PlainGPT, "gpt": lambda: GPT("eager"), "gpt-sdpa": lambda: GPT("sdpa"),
    "vit": lambda: ViT("eager"), "vit-sdpa": lambda: ViT("sdpa"),
}


def tensors(module):
    """Parameters and statistics, by name."""
    out = dict(module.named_parameters())
    out.update((n, b) for n, b in module.named_buffers() if n.endswith(("running_mean", "running_var")))
    return out


def make_distinct(module, rng):
    """Moves every value a little, until no two of the module are equal."""
    seen = set()
    with torch.no_grad():
        for name, p in tensors(module).items():
            v = p.detach().numpy().reshape(-1)
            v = (v + 0.02 * np.abs(rng.standard_normal(v.shape))).astype(np.float32)
            for i in range(len(v)):
                while v[i].item() in seen or v[i] == 0:
                    v[i] = np.float32(v[i] + 1e-3 * rng.random())
                seen.add(v[i].item())
            p.copy_(torch.from_numpy(v.reshape(p.shape)))


class Places:
    """Where each value of a module is."""

    def __init__(self, module):
        parts = {n: p.detach().numpy().copy() for n, p in tensors(module).items()}
        self.start, flat, at = {}, [], 0
        for n, v in parts.items():
            self.start[n] = (at, v.shape)
            flat.append(v.reshape(-1))
            at += v.size
        self.size, flat = at, np.concatenate(flat)
        self.order = np.argsort(flat)
        self.sorted = flat[self.order]

    def find(self, array):
        """The place of each element, or None if one is not of the module."""
        if array.dtype != np.float32 or array.size == 0:
            return None
        v = array.reshape(-1)
        i = np.searchsorted(self.sorted, v).clip(0, self.size - 1)
        # Zeros are biases that the exporter filled in; none is in the module.
        ok = self.sorted[i] == v
        if not (ok | (v == 0)).all() or not ok.any():
            return None
        return np.where(ok, self.order[i], self.size)

    def gather(self, places, arrays, total):
        """One flat array of the sums (or, without total, of the last) of what lies at each place."""
        out, hit = np.zeros(self.size + 1), np.zeros(self.size + 1, bool)
        for name, a in arrays.items():
            where = places.get(name)
            if where is None:
                continue
            if total:
                np.add.at(out, where, a.reshape(-1).astype(np.float64))
            else:
                out[where] = a.reshape(-1)
            hit[where] = True
        return out[:-1], hit[:-1]

    def part(self, flat, name):
        at, shape = self.start[name]
        return flat[at:at + int(np.prod(shape))].reshape(shape)


@contextlib.contextmanager
def silence():
    """Hides what exporters print, from C++ too."""
    sys.stdout.flush()
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        saved = os.dup(1), os.dup(2)
        os.dup2(null.fileno(), 1)
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])


def export(module, sample, path, dynamo, fold_free, opset=None):
    names = list(sample)
    version = {} if opset is None else {"opset_version": opset}
    args = tuple(torch.from_numpy(v) for v in sample.values())
    if dynamo:
        kwargs = {"dynamo": True, "dynamic_shapes": tuple({0: torch.export.Dim("batch")} for _ in names), "external_data": False,
                  "optimize": not fold_free}
    else:
        # The mode is preserved: else this exporter, too, folds BatchNorm into convolutions.
        kwargs = {"dynamo": False, "dynamic_axes": {n: {0: "batch"} for n in names}, "training": torch.onnx.TrainingMode.PRESERVE}
    with silence():
        torch.onnx.export(module, args, str(path), input_names=names, output_names=["y"], **kwargs, **version)


def loss_of(module, batch, target):
    y = module(*batch)
    return F.cross_entropy(y.reshape(-1, y.shape[-1]), target.reshape(-1))


def gradients(module, batch, target):
    loss_of(module, batch, target).backward()
    return {n: p.grad.numpy().astype(np.float64) for n, p in module.named_parameters() if p.grad is not None}


def distance(a, b, verbose):
    """The largest relative distance from a to b, and the parameter that has it."""
    rms = np.sqrt(sum((g ** 2).sum() for g in b.values()) / sum(g.size for g in b.values()))
    worst, at = -1.0, ""
    for n in a:
        d = np.linalg.norm(a[n] - b[n]) / max(np.linalg.norm(b[n]), 1e-3 * np.sqrt(b[n].size) * rms)
        if verbose:
            print(f"    {n:60} {d:.2e}")
        if not d <= worst:
            worst, at = float(d), n
    return worst, at


def first_line(err):
    lines = str(err).strip().splitlines()
    return f"{type(err).__name__}: {lines[0] if lines else ''}"[:200]


class Table:
    def __init__(self):
        self.failed = 0

    def row(self, model, exporter, what, value, limit=None, note=""):
        bad = limit is None or not value <= limit
        self.failed += bad
        text = "-" if value is None else f"{value:.2e}"
        print(f"{model:10} {exporter:7} {what:24} {text:>9} {'' if limit is None else f'{limit:.0e}':>6} {'FAIL' if bad else 'ok':4} {note}", flush=True)

    def note(self, model, exporter, what, text):
        print(f"{model:10} {exporter:7} {what:24} {'-':>9} {'':>6} {'n/a':4} {text}", flush=True)


def difference(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def compare(table, name, exporter, opts, work):
    rng = np.random.default_rng(7)
    torch.manual_seed(7)
    module = MODELS[name]()
    make_distinct(module, rng)
    places = Places(module)
    data, target = batches(name, rng)
    path = work / "model.onnx"
    module.eval()
    try:
        export(module, {n: v[0] for n, v in data.items()}, path, exporter == "dynamo", name == "cnn")
    except Exception as err:  # what PyTorch cannot export is not for us to fix
        return table.note(name, exporter, "export", first_line(err))
    if opts.keep:
        pathlib.Path(opts.keep).mkdir(parents=True, exist_ok=True)
        (pathlib.Path(opts.keep) / f"{name}-{exporter}.onnx").write_bytes(path.read_bytes())
    np.savez(work / "batches.npz", target=target.astype(np.int64), **data)
    p = subprocess.run([opts.step, "-model", path, "-batches", work / "batches.npz", "-out", work, "-lr", str(RATE), "-opsets", opts.opsets],
                       capture_output=True, text=True)
    if p.returncode:
        return table.row(name, exporter, "gneiss", None, note=p.stderr.strip()[:300])
    model = onnx.load(path)
    where = {i.name: places.find(onnx.numpy_helper.to_array(i)) for i in model.graph.initializer}

    # PyTorch's side.
    module.train()
    inputs = [tuple(torch.from_numpy(v[i]) for v in data.values()) for i in range(STEPS)]
    targets = torch.from_numpy(target.astype(np.int64))
    grads = gradients(copy.deepcopy(module), inputs[0], targets[0])
    exact = gradients(copy.deepcopy(module).double(), tuple(x.double() if x.is_floating_point() else x for x in inputs[0]), targets[0])

    # Besides a bias that an exporter made of zeros, all that is trained must be of the module.
    mine = dict(np.load(work / "gradients.npz"))
    zeros = {i.name for i in model.graph.initializer if not onnx.numpy_helper.to_array(i).any()}
    extra = [n for n in mine if where.get(n) is None and n not in zeros]
    if extra:
        table.row(name, exporter, "parameters", float(len(extra)), 0, f"not of the module: {extra[:6]}")
    flat, hit = places.gather(where, mine, True)
    # Rows of a table of positions that no input reaches may be cut off.
    missing = [n for n, g in grads.items() if g[~places.part(hit, n)].any()]
    if missing:
        table.row(name, exporter, "parameters", float(len(missing)), 0, f"not trained: {missing[:6]}")
    mine = {n: places.part(flat, n) for n in grads if n not in missing}
    d, at = distance(mine, exact, opts.verbose)
    table.row(name, exporter, f"{len(grads)} gradients", d, 1e-4, at)
    # Some gradients are 0 but for rounding, such as that of a bias before BatchNorm: PyTorch's rounding counts, too.
    own, _ = distance(grads, exact, False)
    d, at = distance(mine, grads, False)
    table.row(name, exporter, f"{len(grads)} gradients, float32", d, 1e-4 + own, f"{at}; PyTorch's float32 is {own:.1e} from its float64")

    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    losses = []
    for i in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(module, inputs[i], targets[i])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    result = json.loads((work / "result.json").read_text())
    d = np.abs(np.array(losses) - np.array(result["losses"]))
    table.row(name, exporter, f"losses of {STEPS} steps", float(d.max()), 1e-3, f"{losses[0]:.4f} to {losses[-1]:.4f}")
    round_trips(table, name, exporter, opts, work, places, where, {n: v[0] for n, v in data.items()}, result["exports"])


def curve(module, inputs, targets, mixed):
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE)
    losses = []
    for x, y in zip(inputs, targets):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = loss_of(module, x, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def mixed(table, name, exporter, opts, work):
    """One row for all seeds: single curves of some networks are chaotic, so their distances are averaged."""
    far = []
    for seed in range(7, 7 + opts.seeds):
        curves = mixed_curves(table, name, exporter, opts, work, seed)
        if curves is None:
            return
        ours, gneiss, full, autocast, rounded = curves
        far.append([[d.max(), d.mean()] for d in (np.abs(gneiss - ours), np.abs(autocast - full), np.abs(gneiss - autocast), np.abs(ours - full), np.abs(rounded - full))])
    (_, own), (_, theirs), *_ = np.mean(far, axis=0)
    text = ", ".join(f"{what} {mean:.5f} (max {top:.4f})" for what, top, mean in zip(
        ("gneiss", "autocast", "from each other", "both float32", "rounded weights"), np.max(far, axis=0)[:, 0], np.mean(far, axis=0)[:, 1]))
    table.row(name, exporter, "bfloat16 from float32", float(own), max(2 * float(theirs), 0.002), f"{text}; loss {full[0]:.3f} to {full[-1]:.3f}")


def mixed_curves(table, name, exporter, opts, work, seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module = MODELS[name]()
    make_distinct(module, rng)  # equal ones would be written once, and trained as one
    data, target = batches(name, rng)
    path = work / "model.onnx"
    module.eval()
    try:
        export(module, {n: v[0] for n, v in data.items()}, path, exporter == "dynamo", name == "cnn")
    except Exception as err:
        return table.note(name, exporter, "export", first_line(err))
    np.savez(work / "batches.npz", target=target.astype(np.int64), **data)
    ours = {}
    for kind in ("", "bfloat16"):
        p = subprocess.run([opts.step, "-model", path, "-batches", work / "batches.npz", "-out", work, "-lr", str(RATE), "-opsets", "", "-mixed", kind],
                           capture_output=True, text=True)
        if p.returncode:
            return table.row(name, exporter, "gneiss " + kind, None, note=p.stderr.strip()[:300])
        ours[kind] = np.array(json.loads((work / "result.json").read_text())["losses"])
    module.train()
    inputs = [tuple(torch.from_numpy(v[i]) for v in data.values()) for i in range(STEPS)]
    targets = torch.from_numpy(target.astype(np.int64))
    try:
        full, low = (curve(copy.deepcopy(module), inputs, targets, on) for on in (False, True))
    except RuntimeError as err:  # an operator that this machine's PyTorch has no bfloat16 for
        return table.note(name, exporter, "autocast", first_line(err))
    rounded = copy.deepcopy(module)
    with torch.no_grad():
        for p in rounded.parameters():
            p.copy_(p.bfloat16().float())
    rounded = curve(rounded, inputs, targets, False)
    return ours[""], ours["bfloat16"], full, low, rounded


def torch_weights(table, name, exporter, what, model, places, where, sample, want):
    """Loads the weights of a written model into the PyTorch module."""
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    flat, hit = places.gather(where, weights, False)
    other = MODELS[name]().eval()
    lost = []
    with torch.no_grad():
        for n, p in tensors(other).items():
            ok = places.part(hit, n)
            if not ok.any():
                lost.append(n)
            p.copy_(torch.from_numpy(np.where(ok, places.part(flat, n), p.numpy()).astype(np.float32)))
        y = other(*(torch.from_numpy(v) for v in sample.values())).numpy()
    table.row(name, exporter, what + "torch weights", difference(y, want), 1e-4, f"lost: {lost[:4]}" if lost else "")


def round_trips(table, name, exporter, opts, work, places, where, sample, exports):
    import onnxruntime
    import onnx2torch
    want = np.load(work / "outputs.npz")["y"]
    for opset, problem in exports.items():
        what = f"opset {opset} "
        if problem:
            table.row(name, exporter, what + "export", None, note=problem[:300])
            continue
        path = str(work / f"opset-{opset}.onnx")
        model = onnx.load(path)
        try:
            onnx.checker.check_model(model, full_check=True)
        except Exception as err:
            table.row(name, exporter, what + "checker", None, note=first_line(err))
        try:
            so = onnxruntime.SessionOptions()
            so.log_severity_level = 3
            run = onnxruntime.InferenceSession(path, so, providers=["CPUExecutionProvider"])
            y = run.run(["y"], {i.name: sample[i.name] for i in run.get_inputs()})[0]
            table.row(name, exporter, what + "onnxruntime", difference(y, want), 1e-4)
        except Exception as err:
            table.row(name, exporter, what + "onnxruntime", None, note=first_line(err))
        if places is not None:
            torch_weights(table, name, exporter, what, model, places, where, sample, want)
        if int(opset) > 17:
            continue
        try:
            with torch.no_grad():
                t = onnx2torch.convert(model).eval()
                order = [i.name for i in model.graph.input if i.name in sample]
                y = t(*(torch.from_numpy(sample[n]) for n in order)).numpy()
        except NotImplementedError as err:
            table.note(name, exporter, what + "onnx2torch", first_line(err))
        except Exception as err:
            own = places is not None and own_export(MODELS[name]().eval(), sample, work / "own.onnx", exporter, int(opset))
            if own:
                table.note(name, exporter, what + "onnx2torch", f"{first_line(err)}; of PyTorch's own file for this opset: {own}")
            else:
                table.row(name, exporter, what + "onnx2torch", None, note=first_line(err))
        else:
            table.row(name, exporter, what + "onnx2torch", difference(y, want), 1e-4)


# The inputs of the networks that Gneiss builds, and the classes or, for other losses, the shape of the target.
FAMILIES = {
    "mlp": ((20,), 5), "cnn": ((3, 16, 16), 5), "resnet": ((3, 16, 16), 5), "text-rnn": (12, 5), "text-gru": (12, 5), "text-lstm": (12, 5),
    "bert": (12, 5), "bert-masked": (12, 5), "gpt": (12, 60), "vit": ((3, 16, 16), 5), "autoencoder": ((20,), None), "dlrm": ((5,), (1,)), "norms": ((8, 16), 5),
    "bag": (12, 5), "rotary": (12, 5), "encoder-decoder": (12, 5), "transposed": ((3, 16, 16), 5), "vae": ((20,), None),
}


def family(table, name, opts, work):
    """Trains a network that Gneiss builds, and holds what it writes against other runtimes."""
    rng = np.random.default_rng(11)
    shape, classes = FAMILIES[name]
    data = {"x": floats(rng, 6, *shape) if isinstance(shape, tuple) else rng.integers(0, 60, (STEPS, 6, shape))}
    if name == "dlrm":
        data["categories"] = rng.integers(0, 5, (STEPS, 6, 3))
        target = rng.integers(0, 2, (STEPS, 6, 1)).astype(np.float32)
    elif classes is None:
        target = data["x"]
    else:
        target = rng.integers(0, classes, (STEPS, 6, 12) if name == "gpt" else (STEPS, 6))
    data, target = repeated(data, target)
    np.savez(work / "batches.npz", target=target, **data)
    p = subprocess.run([opts.step, "-family", name, "-batches", work / "batches.npz", "-out", work, "-lr", str(RATE), "-opsets", opts.opsets],
                       capture_output=True, text=True)
    if p.returncode:
        return table.row(name, "gneiss", "gneiss", None, note=p.stderr.strip()[:300])
    result = json.loads((work / "result.json").read_text())
    first, last = result["losses"][0], result["losses"][-1]
    table.row(name, "gneiss", f"last of {STEPS} losses", last, first, f"{first:.4f} to {last:.4f}")
    round_trips(table, name, "gneiss", opts, work, None, None, {n: v[0] for n, v in data.items()}, result["exports"])


def own_export(module, sample, path, exporter, opset):
    """Why onnx2torch does not take what PyTorch itself exports for an opset, "" if it does."""
    import onnx2torch
    try:
        export(module, sample, path, exporter == "dynamo", False, opset)
        with torch.no_grad():
            t = onnx2torch.convert(onnx.load(path)).eval()
            t(*(torch.from_numpy(v) for v in sample.values()))
    except Exception as err:
        return first_line(err)
    return ""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--step", required=True, help="the program built from train/pytorch/step")
    p.add_argument("--model", action="append", choices=[*MODELS, "none"], help="only this one (repeatable), or none")
    p.add_argument("--family", action="append", choices=[*FAMILIES, "none"], help="only this network of Gneiss's own (repeatable), or none")
    p.add_argument("--exporter", action="append", choices=["dynamo", "script"])
    p.add_argument("--opsets", default="13,17,20,28", help="opsets to export")
    p.add_argument("--mixed", action="store_true", help="compare mixed precision with torch.autocast instead")
    p.add_argument("--seeds", type=int, default=5, help="how many weights and batches --mixed averages over")
    p.add_argument("--keep", help="a folder for the models that PyTorch exported")
    p.add_argument("--verbose", action="store_true", help="print every parameter")
    opts = p.parse_args()
    opts.step = os.path.abspath(opts.step)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, onnx {onnx.__version__}")
    table = Table()
    for name in opts.model or MODELS:
        for exporter in opts.exporter or ["dynamo", "script"]:
            if name == "none":
                continue
            with tempfile.TemporaryDirectory() as work:
                (mixed if opts.mixed else compare)(table, name, exporter, opts, pathlib.Path(work))
    for name in opts.family or FAMILIES:
        if name != "none" and not opts.mixed:
            with tempfile.TemporaryDirectory() as work:
                family(table, name, opts, pathlib.Path(work))
    print(f"{table.failed} failed")
    sys.exit(table.failed > 0)


if __name__ == "__main__":
    main()
