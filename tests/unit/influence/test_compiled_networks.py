"""Influence and guided backpropagation beside torch.compile."""

import subprocess
import sys


def test_compiled_networks_are_asked_as_they_were_written() -> None:
    # In a process of its own: others would pay for the compiler's import.
    script = """
import torch
from torch import nn
from glassguard.influence import InternalInfluence
from glassguard.influence.guided_backpropagation import guided_backpropagation

network = nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5), nn.ReLU(), nn.Linear(5, 3)
).eval()
pixels = torch.rand(2, 3, 8, 8)
slices = {"dense": network[3], "relu": network[1]}
expected = guided_backpropagation(network, pixels)
profiles = InternalInfluence(network, slices).profiles(pixels).profiles
compiled = torch.compile(network, backend="aot_eager")
compiled(pixels)
assert torch.equal(guided_backpropagation(compiled, pixels), expected)
found = InternalInfluence(compiled, slices).profiles(pixels).profiles
assert all(torch.equal(found[name], profiles[name]) for name in slices)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)


def test_the_search_does_not_import_the_compiler() -> None:
    script = """
import sys, torch
from torch import nn
from glassguard.influence.guided_backpropagation import guided_backpropagation

network = nn.Sequential(nn.Conv2d(3, 4, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3)).eval()
guided_backpropagation(network, torch.rand(2, 3, 8, 8))
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
