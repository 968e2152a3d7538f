"""Writes train/nn/testdata/layers.npz: what PyTorch's layers give, and their gradients.

For each case of train/nn's TestPyTorch: inputs "case/in/…", parameters by the names that
Gneiss has for them, "case/p/…", the output "case/y" and the gradients of the mean
of its squares, "case/g/…".

  python train/pytorch/layers.py
"""

import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
arrays = {}


def case(name, f, inputs, parameters):
    for p in parameters.values():
        p.grad = None
    y = f()
    y.square().mean().backward()
    for k, v in inputs.items():
        arrays[f"{name}/in/{k}"] = v.detach().numpy()
    arrays[f"{name}/y"] = y.detach().numpy()
    for k, p in parameters.items():
        arrays[f"{name}/p/{k}"], arrays[f"{name}/g/{k}"] = p.detach().numpy(), p.grad.numpy()


def bags():
    weight = nn.Parameter(torch.randn(10, 3))
    x = torch.tensor([[1, 4, 4, 0], [0, 0, 0, 0], [9, 2, 0, 3]])
    w = torch.rand(3, 4)
    for mode in "sum", "mean", "max":
        case(f"bag-{mode}", lambda: F.embedding_bag(x, weight, mode=mode), {"x": x}, {"weight": weight})
        case(f"bag-{mode}-padded", lambda: F.embedding_bag(x, weight, mode=mode, padding_idx=0), {"x": x}, {"weight": weight})
    case("bag-weights", lambda: F.embedding_bag(x, weight, mode="sum", per_sample_weights=w), {"x": x, "weights": w}, {"weight": weight})
    flat, offsets = torch.tensor([5, 0, 3, 3, 8, 0, 9]), torch.tensor([0, 2, 2, 6, 7])
    for mode in "sum", "mean", "max":
        case(f"bag-{mode}-offsets", lambda: F.embedding_bag(flat, weight, offsets, mode=mode), {"x": flat, "offsets": offsets}, {"weight": weight})
    w = torch.rand(7)
    case("bag-weights-offsets", lambda: F.embedding_bag(flat, weight, offsets, mode="sum", per_sample_weights=w, padding_idx=0),
         {"x": flat, "weights": w, "offsets": offsets}, {"weight": weight})


def attention():
    m = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
    nn.init.normal_(m.in_proj_bias)
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 4, 6)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    for name, args in ("cross", {}), ("cross-masked", {"key_padding_mask": ~mask}):
        y = m(x, memory, memory, **args)[0]
        for p in m.parameters():
            p.grad = None
        y.square().mean().backward()
        arrays.update({f"{name}/in/x": x.numpy(), f"{name}/in/memory": memory.numpy(), f"{name}/y": y.detach().numpy()})
        if args:
            arrays[f"{name}/in/mask"] = mask.view(2, 1, 1, 4).numpy()
        put(name, cross_parameters(m, ""))
    rotary()


def cross_parameters(m, prefix):
    """Pairs of values and gradients by name."""
    out = {}
    if m.in_proj_weight is None:
        weights = [(p, p.grad) for p in (m.q_proj_weight, m.k_proj_weight, m.v_proj_weight)]
    else:
        weights = list(zip(m.in_proj_weight.chunk(3), m.in_proj_weight.grad.chunk(3)))
    for k, w, b, g in zip("qkv", weights, m.in_proj_bias.chunk(3), m.in_proj_bias.grad.chunk(3)):
        out[f"{prefix}{k}.weight"], out[f"{prefix}{k}.bias"] = w, (b, g)
    for k, p in m.out_proj.named_parameters():
        out[f"{prefix}out_proj.{k}"] = (p, p.grad)
    return out


def self_parameters(m, prefix):
    out = {f"{prefix}in_proj.weight": m.in_proj_weight, f"{prefix}in_proj.bias": m.in_proj_bias,
           f"{prefix}out_proj.weight": m.out_proj.weight, f"{prefix}out_proj.bias": m.out_proj.bias}
    return {k: (p, p.grad) for k, p in out.items()}


def layer_parameters(m, prefix):
    out = self_parameters(m.self_attn, prefix + "self_attn.")
    names = {"linear1": "ffn.0", "linear2": "ffn.1", "norm1": "self_attn_norm", "norm2": "ffn_norm"}
    if hasattr(m, "multihead_attn"):
        out |= cross_parameters(m.multihead_attn, prefix + "cross_attn.")
        names |= {"norm2": "cross_attn_norm", "norm3": "ffn_norm"}
    for theirs, ours in names.items():
        for k, p in getattr(m, theirs).named_parameters():
            out[f"{prefix}{ours}.{k}"] = (p, p.grad)
    return out


def put(name, parameters):
    for k, (p, g) in parameters.items():
        arrays[f"{name}/p/{k}"], arrays[f"{name}/g/{k}"] = p.detach().numpy(), g.numpy()


def rotary():
    """Attention as in Llama: rotate_half."""
    x = torch.randn(2, 5, 8)
    p = {"in_proj.weight": (24, 8), "in_proj.bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)}
    p = {k: nn.Parameter(torch.randn(s) / 2) for k, s in p.items()}

    def f():
        q, k, v = (t.view(2, 5, 2, 4).transpose(1, 2) for t in F.linear(x, p["in_proj.weight"], p["in_proj.bias"]).chunk(3, -1))
        angle = torch.arange(5)[:, None] * 10000.0 ** (-torch.arange(0, 4, 2) / 4)
        cos, sin = (torch.cat([t, t], -1) for t in (angle.cos(), angle.sin()))
        q, k = (t * cos + torch.cat([-t[..., 2:], t[..., :2]], -1) * sin for t in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(2, 5, 8)
        return F.linear(y, p["out_proj.weight"], p["out_proj.bias"])

    case("rotary", f, {"x": x}, p)


def randomize(m):
    for k, p in m.named_parameters():
        if p.dim() == 1:
            nn.init.normal_(p, 1 if "norm" in k and k.endswith("weight") else 0, 0.3)


def transformers():
    source, target = torch.randn(2, 4, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    inputs = {"x": target, "memory": source, "mask": mask.view(2, 1, 1, 4)}
    for first in False, True:
        m = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=True, norm_first=first)
        randomize(m)
        name = "decoder-layer" + "-norm-first" * first
        case(name, lambda: m(target, source, tgt_mask=causal, memory_key_padding_mask=~mask), inputs, {})
        put(name, layer_parameters(m, ""))
        m = nn.Transformer(8, 2, 2, 2, 12, 0.0, batch_first=True, norm_first=first)
        randomize(m)
        name = "transformer" + "-norm-first" * first
        case(name, lambda: m(source, target, tgt_mask=causal, src_key_padding_mask=~mask, memory_key_padding_mask=~mask), inputs, {})
        for part in "encoder", "decoder":
            stack = getattr(m, part)
            for i, layer in enumerate(stack.layers):
                put(name, layer_parameters(layer, f"{part}.layers.{i}."))
            put(name, {f"{part}.norm.{k}": (p, p.grad) for k, p in stack.norm.named_parameters()})


def convolutions():
    series, images, volume = torch.randn(2, 4, 9), torch.randn(2, 4, 7, 6), torch.randn(2, 4, 5, 4, 6)
    for name, m, x in (
        ("conv1d", nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2), series),
        ("conv3d", nn.Conv3d(4, 3, 3, stride=2, padding=1), volume),
        ("transposed1d", nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), series),
        ("transposed2d", nn.ConvTranspose2d(4, 3, 3, stride=2), images),
        ("transposed3d", nn.ConvTranspose3d(4, 2, 2, stride=2), volume),
    ):
        case(name, lambda: m(x), {"x": x}, dict(m.named_parameters()))
    for name, pool, x in (
        ("max-pool-ceil", nn.MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True), images),
        ("max-pool1d", nn.MaxPool1d(2), series),
        ("avg-pool", nn.AvgPool2d(3, 2, 1), images),
        ("avg-pool-exclude", nn.AvgPool3d(2, 2, 1, count_include_pad=False), volume),
        ("norm-pool", nn.LPPool2d(2, 2, 2), images),
        ("adaptive-avg", nn.AdaptiveAvgPool1d(3), series),
        ("adaptive-max1d", nn.AdaptiveMaxPool1d(3), series),
        ("global-max", nn.AdaptiveMaxPool2d(1), images),
        ("global-avg", nn.AdaptiveAvgPool3d(1), volume),
    ):
        m = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[x.dim() - 2](4, 3, 1)
        case(name, lambda: pool(m(x)), {"x": x}, {f"0.{k}": p for k, p in m.named_parameters()})


bags()
attention()
transformers()
convolutions()
np.savez_compressed(pathlib.Path(__file__).parents[1] / "nn" / "testdata" / "layers.npz", **arrays)
