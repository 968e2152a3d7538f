"""Writes train/testdata/operators.npz: operators as PyTorch and torchvision compute and differentiate them.

For each case of train's TestPyTorchOperators, in float64 unless integers: inputs in the order of
ONNX "case/in/0"…, the output "case/y" and the gradients of the sum of its squares, "case/g/0"….

  python train/pytorch/operators.py
"""

import pathlib

import numpy as np
import torch
from torch.nn import functional as F
from torchvision import ops

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
arrays = {}


def case(name, f, *inputs):
    inputs = [v.clone().requires_grad_(v.is_floating_point()) if v is not None else None for v in inputs]
    y = f(*inputs)
    y.square().sum().backward()
    arrays[f"{name}/y"] = y.detach().numpy()
    for i, v in enumerate(inputs):
        if v is not None:
            arrays[f"{name}/in/{i}"] = v.detach().numpy()
            if v.grad is not None:
                arrays[f"{name}/g/{i}"] = v.grad.numpy()


def complex_of(x):
    return torch.view_as_complex(x)


def pairs(x):
    return torch.view_as_real(x).contiguous()


ints = lambda *v: torch.tensor(v)
x4 = torch.randn(2, 3, 6, 7)

case("Col2Im", lambda x, image, block: F.fold(x, (5, 6), (2, 3), padding=1), torch.randn(2, 12, 36), ints(5, 6), ints(2, 3))
case("Det", torch.linalg.det, torch.randn(3, 2, 4, 4))
case("DFT", lambda x, n, axis: pairs(torch.fft.fft(complex_of(x), dim=1)), torch.randn(2, 7, 2), None, torch.tensor(1))
case("DFT onesided", lambda x, n, axis: pairs(torch.fft.rfft(x[..., 0], n=9, dim=1)), torch.randn(2, 7, 1), torch.tensor(9), torch.tensor(1))
case("STFT", lambda x, step, w: pairs(torch.stft(x[..., 0], 4, 2, 4, w, center=False, return_complex=True).transpose(1, 2)),
     torch.randn(2, 9, 1), torch.tensor(2), torch.rand(4))
rois = torch.tensor([[0, 1, 0, 5, 4], [1, 0, 2, 11, 9], [0, 3, 3, 8, 11.0]])
case("MaxRoiPool", lambda x, rois: ops.roi_pool(x, rois, (2, 3), 0.5), x4, rois)  # which gives rois no gradient
boxes = torch.tensor([[0.3, 1.1, 5.2, 4.4], [2.2, 0.7, 10.3, 9.9]])
case("RoiAlign", lambda x, boxes, batch: ops.roi_align(x, torch.cat([batch[:, None], boxes], 1), (2, 3), 0.5, 2, True), x4, boxes, ints(0, 1))
z, index = F.max_pool2d(torch.randn(2, 3, 6, 4), 2, return_indices=True)
planes = torch.arange(6).reshape(2, 3, 1, 1) * 24
case("MaxUnpool", lambda x, i: F.max_unpool2d(x, i - planes, 2), z, index + planes)
case("CausalConvWithState", lambda x, w, b, past: F.silu(F.conv1d(torch.cat([past, x], 2), w, b, groups=3)),
     torch.randn(2, 3, 5), torch.randn(3, 1, 3), torch.randn(3), torch.randn(2, 3, 2))
case("DeformConv", lambda x, w, offset, b, mask: ops.deform_conv2d(x, offset, w, b, (2, 1), (1, 0), (1, 2), mask),
     torch.randn(2, 4, 7, 8), torch.randn(6, 2, 3, 2), torch.randn(2, 24, 4, 6) * 1.5, torch.randn(6), torch.randn(2, 12, 4, 6))


def loss(x, t, w):
    keep = t != -1
    picked = F.log_softmax(x, 1).gather(1, t.clamp(min=0)[:, None])[:, 0]
    weights = torch.where(keep, w[t.clamp(min=0)], 0)
    return -(weights * picked).sum() / weights.sum()


case("SoftmaxCrossEntropyLoss", loss, torch.randn(3, 4, 5), torch.randint(-1, 4, (3, 5)), torch.rand(4) + 0.5)


def rotary(x, cos, sin, ids):
    a, b = x[..., :3], x[..., 3:6]
    c, s = cos[ids][:, None], sin[ids][:, None]
    return torch.cat([c * a - s * b, s * a + c * b, x[..., 6:]], -1)


case("RotaryEmbedding", rotary, torch.randn(2, 2, 4, 7), torch.randn(5, 3), torch.randn(5, 3), torch.randint(0, 5, (2, 4)))


def scores(q, k, v, bias):
    s = 1.5 * torch.tanh(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 / 1.5) + bias
    return torch.cat([torch.softmax(s, -1) @ v, s], -1)


case("Attention", scores, torch.randn(2, 3, 4, 6), torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 2), torch.randn(3, 4, 5))
case("FlexAttention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.5, enable_gqa=True), torch.randn(2, 4, 3, 6), torch.randn(2, 2, 5, 6), torch.randn(2, 2, 5, 3))

path = pathlib.Path(__file__).parent.parent / "testdata" / "operators.npz"
np.savez_compressed(path, **arrays)
print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes")
