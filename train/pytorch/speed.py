#!/usr/bin/env python3
"""Times of training steps beside PyTorch on the same CPU.

  speed.py [--threads 1,2] [--rounds 3] [--seconds 1] [--models MLP,RNN] [--json FILE]
  speed.py --memory [--threads 1] [--steps 4] [--models ResNet18,BERT12]

Each round times steps of Adam (forward, backward, update) of the same networks in turn: Gneiss by `go test -bench
BenchmarkStep ./train`, PyTorch in eager mode. The table has the medians of the rounds and their ratio.

With --memory each side runs in a process of its own, and the table has its peak resident memory, and what is above that of the library
alone (a process that does nothing; for PyTorch, after the import and a small step). "recompute" is Gneiss with Config.Recompute. Times
of steps are from the same processes. Linux only.

Needs: Go, pip install torch
"""
import argparse, json, os, re, statistics, subprocess, sys, tempfile, time

import torch
from torch import nn

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


class Text(nn.Module):
    def __init__(self, kind, hidden):
        super().__init__()
        self.embedding = nn.Embedding(10000, 128)
        self.rnn = kind(128, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.fc(self.rnn(self.embedding(x))[0][:, -1])


class Bert(nn.Module):
    def __init__(self, layers=4, length=128):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(10000, 256), nn.Parameter(torch.randn(length, 256) * 0.02)
        self.norm = nn.LayerNorm(256)
        layer = nn.TransformerEncoderLayer(256, 4, 1024, 0.0, "gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pooler, self.classifier = nn.Linear(256, 256), nn.Linear(256, 2)

    def forward(self, x):
        h = self.layers(self.norm(self.tokens(x) + self.positions))
        return self.classifier(torch.tanh(self.pooler(h[:, 0])))


class Block(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.down = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if stride > 1 or inp != out else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.down(x))


def resnet18():
    parts, inp = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for i, out in enumerate((64, 128, 256, 512)):
        for k in range(2):
            parts.append(Block(inp, out, 2 if i > 0 and k == 0 else 1))
            inp = out
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


ids = lambda n, t: torch.randint(10000, (n, t))
MODELS = {
    "MLP": (lambda: nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)), lambda: torch.randn(64, 784), 10),
    "ResNet18": (resnet18, lambda: torch.randn(16, 3, 64, 64), 10),
    "LSTM": (lambda: Text(nn.LSTM, 256), lambda: ids(32, 100), 1),
    "RNN": (lambda: Text(nn.RNN, 128), lambda: ids(32, 100), 1),
    "BERT": (Bert, lambda: ids(8, 128), 2),
    "BERT12": (lambda: Bert(12, 256), lambda: ids(8, 256), 2),
}


def pytorch(name, threads, seconds, least=3):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    build, data, classes = MODELS[name]
    model, x = build(), data()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    target = torch.zeros(len(x), 1) if classes == 1 else torch.zeros(len(x), dtype=torch.long)
    loss = nn.BCEWithLogitsLoss() if classes == 1 else nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss(model(x), target).backward()
        optimizer.step()

    for _ in range(3):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.fmean(times)


def gneiss(binary, name, threads, seconds):
    out = subprocess.run([binary, "-test.run=^$", f"-test.bench=^BenchmarkStep$/^{name}$", f"-test.benchtime={seconds}s"], cwd=os.path.join(ROOT, "train"),
                         env={**os.environ, "GNEISS_BENCH_THREADS": str(threads)}, capture_output=True, text=True)
    m = re.search(r"(\d[\d.]*) ns/op", out.stdout)
    if not m:
        sys.exit(f"no time of {name}: {out.stdout}{out.stderr}")
    return float(m[1]) / 1e9


def peak(command, **env):
    """Runs command in a process of its own; returns its output and peak resident memory in MB.

    A process begins with the peak of the one it was forked from, so a small one is between this one and it.
    """
    p = subprocess.run([sys.executable, "-c", LAUNCHER, *command], cwd=os.path.join(ROOT, "train"), env={**os.environ, **env}, capture_output=True, text=True)
    if p.returncode:
        sys.exit(f"{command}: {p.stdout}{p.stderr}")
    return p.stdout, int(p.stderr.split()[-1]) / 1024


LAUNCHER = """
import os, subprocess, sys
p = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(p.pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def child(name, threads, steps):
    """PyTorch's side of --memory: prints the time of a step, and the resident and the peak memory before and after in KB."""
    torch.set_num_threads(threads)
    layer = nn.Linear(8, 8)
    layer(torch.randn(4, 8)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")  # the peak, which importing has raised, begins anew
    status = lambda key: int(re.search(key + r":\s*(\d+)", open("/proc/self/status").read())[1])
    alone = status("VmRSS")
    print(pytorch(name, threads, 0, steps), alone, status("VmHWM"))


def memory(binary, models, threads, steps):
    args = lambda name: [sys.executable, os.path.abspath(__file__), "--child", name, "--threads", str(threads), "--steps", str(steps)]
    bench = lambda name: [binary, "-test.run=^$", f"-test.bench=^BenchmarkStep$/^{name}$", f"-test.benchtime={steps}x"]
    _, empty = peak(bench("nothing"))
    print(f"{'model':10} {'side':10} {'alone MB':>9} {'peak MB':>8} {'above MB':>9} {'step ms':>8} {'above/pytorch':>14}")
    for name in models:
        out, _ = peak(args(name))
        seconds, alone, rss = map(float, out.split())
        theirs = (rss - alone) / 1024
        print(f"{name:10} {'pytorch':10} {alone / 1024:9.0f} {rss / 1024:8.0f} {theirs:9.0f} {seconds * 1e3:8.1f} {1:14.2f}", flush=True)
        for side, again in (("gneiss", "0"), ("recompute", "1")):
            out, rss = peak(bench(name), GNEISS_BENCH_THREADS=str(threads), GNEISS_BENCH_RECOMPUTE=again)
            ms = float(re.search(r"(\d[\d.]*) ns/op", out)[1]) / 1e6
            print(f"{name:10} {side:10} {empty:9.0f} {rss:8.0f} {rss - empty:9.0f} {ms:8.1f} {(rss - empty) / theirs:14.2f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--models", default=",".join(m for m in MODELS if m != "BERT12"))
    p.add_argument("--memory", action="store_true")
    p.add_argument("--steps", type=int, default=4)
    p.add_argument("--child", help=argparse.SUPPRESS)
    p.add_argument("--json")
    a = p.parse_args()
    if a.child:
        return child(a.child, int(a.threads), a.steps)
    rows = []
    with tempfile.TemporaryDirectory() as dir:
        binary = os.path.join(dir, "train.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./train"], cwd=ROOT, check=True)
        if a.memory:
            return memory(binary, a.models.split(","), int(a.threads.split(",")[0]), a.steps)
        print(f"{'model':10} {'threads':>7} {'gneiss ms':>10} {'pytorch ms':>10} {'ratio':>6}")
        for threads in map(int, a.threads.split(",")):
            for name in a.models.split(","):
                ours, theirs = [], []
                for _ in range(a.rounds):
                    ours.append(gneiss(binary, name, threads, a.seconds))
                    theirs.append(pytorch(name, threads, a.seconds))
                o, t = statistics.median(ours), statistics.median(theirs)
                rows.append({"model": name, "threads": threads, "gneiss_s": o, "pytorch_s": t, "ratio": o / t})
                print(f"{name:10} {threads:7} {o * 1e3:10.2f} {t * 1e3:10.2f} {o / t:6.2f}", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
