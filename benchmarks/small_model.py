"""A model that knows nothing but is read and run like the default one, and is quick."""

from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from stylecine.networks.clothfinder import ClothFinder
from stylecine.networks.clothnet import ClothNet
from stylecine.networks.encoder import Encoder
from stylecine.networks.eye import FOAM, KINDS, Eye
from stylecine.networks.generator import Generator
from stylecine.networks.normalnet import NormalNet
from stylecine.networks.refiner import Refiner


def write_small_model(folder: Path) -> Path:
    """Random weights of every role into a folder, which is returned."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(3)
    channels = {4: 16, 8: 16, 16: 16, 32: 16, 64: 16, 128: 8, 256: 8}
    eye = Eye((8,) * 8, (8,) * 5, (8,) * 5, (8,) * 3)
    nn.init.zeros_(eye.presence.leave.weight)  # every class may be in every picture
    nn.init.constant_(eye.presence.leave.bias, 12.0)
    for layer in (eye.occluders.coarse, eye.occluders.fine):  # nothing stands before what moves
        nn.init.zeros_(layer.weight)
        layer.bias = nn.Parameter(torch.full((1,), -6.0))
    for layer in (eye.water.fine, eye.water.coarse):  # all water lies open, without foam
        nn.init.zeros_(layer.weight)
        layer.bias = nn.Parameter(torch.tensor([9.0 * (name in ("open", "none")) for name in (*KINDS, *FOAM)]))
    refiner = Refiner((8, 8))
    for parameter in refiner.leave.parameters():  # it corrects nothing
        nn.init.zeros_(parameter)
    networks: dict[str, nn.Module] = {
        "generator": Generator(channels, "b64.conv1", mapping_layers=2),
        "encoder": Encoder(16, 14, stride=4, width=16, context=16),
        "eye": eye,
        "refiner": refiner,
        "normals": NormalNet((8, 8, 8)),
        "cloth": ClothNet((8, 8, 8), embedding=8),
        "finder": nn.ModuleDict({"decoder": ClothFinder(eye.backbone, {}, (8, 8, 8)).decoder}),
    }
    for role, network in networks.items():
        tensors = {name: t.contiguous() for name, t in network.state_dict().items()}
        safetensors.torch.save_file(tensors, folder / f"{role}.safetensors", {"injection": "b64.conv1"})
    return folder
