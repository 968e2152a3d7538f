"""Recurrent layers of PyTorch, for TestTorchWeights.

torch_rnn.py DIR         writes their weights and outputs
torch_rnn.py DIR check   loads weights that Go wrote to DIR/go_KIND.safetensors, and compares outputs
"""
import sys
import torch
from safetensors.torch import load_file, save_file

kinds = {
    "rnn": lambda: torch.nn.RNN(3, 4, batch_first=True),
    "lstm": lambda: torch.nn.LSTM(3, 4, batch_first=True),
    "gru": lambda: torch.nn.GRU(3, 4, batch_first=True),
    "stacked": lambda: torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    "stacked_gru": lambda: torch.nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True),
}
torch.manual_seed(1)
folder, values = sys.argv[1], {"x": torch.randn(2, 5, 3)}
for kind, make in kinds.items():
    m = torch.nn.ModuleDict({"rnn": make()})
    if len(sys.argv) > 2:
        m.load_state_dict(load_file(f"{folder}/go_{kind}.safetensors"))
        go = load_file(f"{folder}/go_values.safetensors")
        y = m["rnn"](go["x"])[0]
        print(kind, "largest difference", (y - go[kind]).abs().max().item())
    else:
        save_file(m.state_dict(), f"{folder}/torch_{kind}.safetensors")
        values[kind] = m["rnn"](values["x"])[0].detach().contiguous()
if len(sys.argv) == 2:
    save_file(values, f"{folder}/torch_values.safetensors")
