"""Does a run of examples/chargpt again in PyTorch: the same network, first
weights, batches, optimiser and schedule, which the example's -dump wrote.

  go run ./examples/chargpt -dump run.npz
  python train/pytorch/chargpt.py run.npz

Prints the losses of each epoch as the example does. The validation losses must
be within 1% of each other.
"""

import math
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.self_attn_norm, self.ffn_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attn = nn.ModuleDict({"in_proj": nn.Linear(dim, 3 * dim), "out_proj": nn.Linear(dim, dim)})
        self.ffn = nn.ModuleDict({"0": nn.Linear(dim, 4 * dim), "1": nn.Linear(4 * dim, dim)})

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.self_attn["in_proj"](self.self_attn_norm(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + self.self_attn["out_proj"](y)
        return x + self.ffn["1"](F.gelu(self.ffn["0"](self.ffn_norm(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, dim, layers, heads):
        super().__init__()
        self.decoder = nn.ModuleDict({
            "tokens": nn.Embedding(vocabulary, dim), "positions": nn.Embedding(context, dim),
            "layers": nn.ModuleList(Layer(dim, heads) for _ in range(layers)), "norm": nn.LayerNorm(dim)})
        self.lm_head = nn.Linear(dim, vocabulary, bias=False)

    def forward(self, x):
        d = self.decoder
        x = d["tokens"](x) + d["positions"].weight[:x.shape[1]]
        for layer in d["layers"]:
            x = layer(x)
        return self.lm_head(d["norm"](x))


def loss(model, batch):
    y = model(batch[:, :-1])
    return F.cross_entropy(y.flatten(0, 1), batch[:, 1:].flatten())


def factor(step, total, warmup):
    """train.Cosine."""
    n = round(warmup * total)
    if step < n:
        return (step + 1) / (n + 1)
    return (1 + math.cos(math.pi * (step - n) / max(1, total - n))) / 2


def main():
    run = np.load(sys.argv[1])
    setting = {k.removeprefix("setting/"): run[k].item() for k in run.files if k.startswith("setting/")}
    weights = {k.removeprefix("gpt."): torch.from_numpy(run[k]) for k in run.files if k.startswith("gpt.")}
    if setting["threads"] > 0:
        torch.set_num_threads(int(setting["threads"]))
    vocabulary, dim = weights["decoder.tokens.weight"].shape
    model = GPT(vocabulary, run["train"].shape[2] - 1, dim, int(setting["layers"]), int(setting["heads"]))
    model.load_state_dict(weights)
    batches, validation = torch.from_numpy(run["train"]).long(), torch.from_numpy(run["validation"]).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting["rate"], weight_decay=setting["decay"])
    epochs = int(setting["epochs"])
    each = len(batches) // epochs
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        for step in range(epoch * each, (epoch + 1) * each):
            for group in optimizer.param_groups:
                group["lr"] = setting["rate"] * factor(step, len(batches), setting["warmup"])
            optimizer.zero_grad()
            value = loss(model, batches[step])
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), setting["clip"])
            optimizer.step()
            total += value.item()
        with torch.no_grad():
            sums = sum(loss(model, b).item() * len(b) for b in validation.split(32))
        print(f"epoch {epoch + 1}/{epochs}: loss {total / each:.4f}, validation {sums / len(validation):.4f}, {time.time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
