#!/usr/bin/env python3
"""Writes transformer_tiny: a two-layer text classifier, exported by PyTorch's current exporter.

  make_transformer.py DIR

Embedding(1000, 64) + positions -> TransformerEncoder(2 layers, 4 heads, feed-forward 128, GELU) -> mean over the
tokens of the mask -> Linear(64, 5). Batch and sequence are symbolic. The weights are untrained, from seed 0.
Needs: pip install torch onnx onnxscript onnxruntime
"""
import json, os, sys
import numpy as np, onnx, onnxruntime, torch
from onnx import numpy_helper


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(1000, 64)
        self.positions = torch.nn.Embedding(128, 64)
        layer = torch.nn.TransformerEncoderLayer(64, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(64, 5)

    def forward(self, ids, mask):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        x = self.encoder(x, src_key_padding_mask=mask == 0)
        m = mask.to(x.dtype).unsqueeze(-1)
        return self.head((x * m).sum(1) / m.sum(1))


def main(out):
    torch.manual_seed(0)
    model = Classifier().train(False)
    for p in model.parameters():
        p.requires_grad_(False)
    torch.backends.mha.set_fastpath_enabled(False)
    ids = torch.randint(0, 1000, (2, 16))
    mask = torch.ones(2, 16, dtype=torch.int64)
    mask[1, 10:] = 0
    os.makedirs(os.path.join(out, "test_data_set_0"), exist_ok=True)
    path = os.path.join(out, "model.onnx")
    batch, seq = torch.export.Dim("batch", max=64), torch.export.Dim("sequence", max=128)
    torch.onnx.export(model, (ids, mask), path, dynamo=True, opset_version=18, external_data=False, input_names=["ids", "mask"], output_names=["logits"],
                      dynamic_shapes={"ids": {0: batch, 1: seq}, "mask": {0: batch, 1: seq}})
    m = onnx.load(path)
    for n in m.graph.node:  # the exporter writes stack traces with paths of its machine
        del n.metadata_props[:]
    del m.graph.metadata_props[:]
    onnx.save(m, path)
    feeds = {"ids": ids.numpy(), "mask": mask.numpy()}
    got = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    assert np.allclose(got, model(ids, mask).numpy(), atol=1e-5)
    for i, (name, v) in enumerate(feeds.items()):
        open(os.path.join(out, "test_data_set_0", "input_%d.pb" % i), "wb").write(numpy_helper.from_array(v, name).SerializeToString())
    open(os.path.join(out, "test_data_set_0", "output_0.pb"), "wb").write(numpy_helper.from_array(got, "logits").SerializeToString())
    json.dump({"rtol": 1e-3, "atol": 1e-4}, open(os.path.join(out, "data.json"), "w"))


main(sys.argv[1])
