"""The networks of one model, loaded."""

import atexit
import gc
import weakref
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Self

import numpy as np
import torch
from torch import Tensor

from stylecine.cloth.rest_shape import ClothNets
from stylecine.machine.memory import reuse_freed
from stylecine.machine.threads import share_cores
from stylecine.networks.clothfinder import ClothFinder
from stylecine.networks.clothnet import ClothNet
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator
from stylecine.networks.motionnet import MotionNet
from stylecine.networks.normalnet import NormalNet
from stylecine.networks.occludernet import OccluderNet
from stylecine.networks.plantnet import PlantNet
from stylecine.networks.segmenter import Segmenter
from stylecine.ops.image import to_tensor
from stylecine.options import check_device
from stylecine.perception.layers import predict_probabilities
from stylecine.perception.plants import predict_plants
from stylecine.perception.scenery import Scenery
from stylecine.picture.style import StyleNets
from stylecine.weights import FINDER, OCCLUDERS, PLANTS, STYLES, ModelRecord, find_model, role_tensors

# The interpreter would look through half a million objects of PyTorch's several times before it exits.
atexit.register(gc.freeze)


@dataclass(frozen=True, eq=False, repr=False)
class Networks:
    """The networks of one model on one device; all but those of masks and motion are read when needed."""

    model: ModelRecord
    device: torch.device
    segmenter: Segmenter
    motionnet: MotionNet

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] = "default",
        device: str | torch.device | None = None,
        *,
        lazily: bool = False,
    ) -> Self:
        """Loads a model by name or path. Raises WeightsError, OptionError.

        lazily: the generator and its encoder are read when something needs them, and their errors are raised then.
        """
        nets = cls.from_record(find_model(model), check_device(device))
        if not lazily:
            _ = nets.generator, nets.encoder
        return nets

    @classmethod
    @torch.inference_mode(False)
    def from_record(cls, record: ModelRecord, place: torch.device) -> Self:
        share_cores()
        reuse_freed()
        segmenter = Segmenter.from_tensors(role_tensors(record, "segmenter"))
        return cls(
            record,
            place,
            segmenter.to(place),
            MotionNet.from_tensors(role_tensors(record, "motion"), segmenter.backbone).to(place),
        )

    @cached_property
    @torch.inference_mode(False)  # its gradients may be wanted
    def generator(self) -> Generator:
        tensors = role_tensors(self.model, "generator")
        return Generator.from_tensors(tensors, self.model.injection).to(self.device)

    @property
    def has_encoder(self) -> bool:
        """Foreign generators have none."""
        return "encoder" in self.model.files

    @cached_property
    @torch.inference_mode(False)
    def encoder(self) -> Encoder | None:
        if not self.has_encoder:
            return None
        return Encoder.from_tensors(role_tensors(self.model, "encoder")).to(self.device)

    @cached_property
    def cloth_nets(self) -> ClothNets:
        normals = NormalNet.from_tensors(role_tensors(self.model, "normals")).to(self.device)
        return ClothNets(normals, ClothNet.from_tensors(role_tensors(self.model, "cloth")).to(self.device))

    @cached_property
    def occluders(self) -> OccluderNet | None:
        """Models may lack it."""
        if OCCLUDERS not in self.model.files or self.finder is None:
            return None
        tensors = role_tensors(self.model, OCCLUDERS)
        return OccluderNet.from_tensors(tensors, self.finder.backbone).to(self.device)

    @cached_property
    def finder(self) -> ClothFinder | None:
        """Of cloth; models may lack it."""
        if FINDER not in self.model.files:
            return None
        return ClothFinder.from_tensors(role_tensors(self.model, FINDER), self.segmenter.backbone).to(self.device)

    @cached_property
    def plant_net(self) -> PlantNet | None:
        """Models may lack it."""
        if PLANTS not in self.model.files or self.finder is None:
            return None
        return PlantNet.from_tensors(role_tensors(self.model, PLANTS), self.finder.backbone).to(self.device)

    def plants_in(self, photo: np.ndarray) -> Tensor | None:
        """How much each place of a photo uint8 [H,W,3] sways, [H,W] in [0,1]; None for models that lack plants.

        That of the last photo is kept, by identity: a wind is tried in many directions.
        """
        if self.plant_net is None:
            return None
        last = self.__dict__.get("_plants")
        if last is None or last[0]() is not photo:
            plants = predict_plants(to_tensor(photo).to(self.device), self.plant_net)
            last = self.__dict__["_plants"] = weakref.ref(photo), plants
        return last[1]

    def probabilities(self, photo: Tensor, scenery: Scenery | None) -> Tensor:
        """[5,h,w] of static and of CLASSES in a photo [3,H,W] in [-1,1]: those that were seen, or else seen now."""
        if scenery is not None and scenery.probabilities is not None:
            return scenery.probabilities
        return predict_probabilities(photo, self.segmenter)

    @cached_property
    def style_nets(self) -> StyleNets:
        """The default model's, if this one has none."""
        own = STYLES in self.model.files and self.has_encoder
        model = self.model if own else find_model("default")
        named = {name: w_plus.to(self.device) for name, w_plus in role_tensors(model, STYLES).items()}
        if own and self.encoder is not None:
            return StyleNets(self.generator, self.encoder, named)
        generator = Generator.from_tensors(role_tensors(model, "generator"), model.injection)
        encoder = Encoder.from_tensors(role_tensors(model, "encoder"))
        return StyleNets(generator.to(self.device), encoder.to(self.device), named)
