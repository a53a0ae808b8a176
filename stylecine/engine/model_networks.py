"""The networks of one model, loaded."""

import atexit
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from stylecine.cloth.find import FoundCloth, find_cloth
from stylecine.cloth.rest_shape import ClothNets
from stylecine.engine.scene import Scene
from stylecine.machine.defaults import with_usual_defaults
from stylecine.machine.memory import reuse_freed
from stylecine.machine.threads import share_cores
from stylecine.networks.clothfinder import ClothFinder
from stylecine.networks.clothnet import ClothNet
from stylecine.networks.encoder import Encoder
from stylecine.networks.eye import Eye
from stylecine.networks.generator import Generator
from stylecine.networks.normalnet import NormalNet
from stylecine.networks.plantnet import PlantNet
from stylecine.networks.refiner import Refiner
from stylecine.ops.image import to_tensor
from stylecine.options import check_device
from stylecine.perception.plants import predict_plants
from stylecine.perception.scenery import Scenery
from stylecine.perception.see import Seen, see
from stylecine.picture.style import StyleNets
from stylecine.weights import EYE, FINDER, PLANTS, REFINER, STYLES, ModelRecord, find_model, role_tensors

# The interpreter would look through half a million objects of PyTorch's several times before it exits.
atexit.register(gc.freeze)


@dataclass(frozen=True, eq=False, repr=False)
class Networks:
    """The networks of one model on one device; each is read when it is needed."""

    model: ModelRecord
    device: torch.device

    @classmethod
    @with_usual_defaults
    def from_pretrained(
        cls, model: str | PathLike[str] = "default", device: str | torch.device | None = None, *, lazily: bool = False
    ) -> Self:
        """Loads a model by name or path. Raises WeightsError, OptionError.

        lazily: the generator and its encoder are read when something needs them, and their errors are raised then.
        """
        nets = cls.from_record(find_model(model), check_device(device))
        _ = nets.eye, nets.refiner
        if not lazily:
            _ = nets.generator, nets.encoder
        return nets

    @classmethod
    def from_record(cls, record: ModelRecord, place: torch.device) -> Self:
        share_cores()
        reuse_freed()
        return cls(record, place)

    @cached_property
    @torch.inference_mode(False)
    def eye(self) -> Eye:
        return Eye.from_tensors(role_tensors(self.model, EYE)).to(self.device)

    @cached_property
    @torch.inference_mode(False)
    def refiner(self) -> Refiner:
        return Refiner.from_tensors(role_tensors(self.model, REFINER)).to(self.device)

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
    def finder(self) -> ClothFinder | None:
        """Of cloth; models may lack it."""
        if FINDER not in self.model.files:
            return None
        return ClothFinder.from_tensors(role_tensors(self.model, FINDER), self.eye.backbone).to(self.device)

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
        net = self.plant_net
        return None if net is None else self._kept("_plants", photo, lambda image: predict_plants(image, net))

    def cloth_in(self, photo: np.ndarray) -> FoundCloth | None:
        """Flags, banners and hung cloth in a photo uint8 [H,W,3]; None where the model finds none for sure. That of the
        last photo is kept, by identity."""
        return self._kept("_cloth", photo, lambda image: find_cloth(image, self.finder))

    def seen(self, scene: Scene, scenery: Scenery | None) -> Seen:
        """What the eye sees in a scene's photo: what it saw before, or else sees now.

        That of the last photo is kept, by identity.
        """
        if scenery is not None and scenery.seen is not None:
            return scenery.seen
        return self._kept("_seen", scene.photo, lambda image: see(image, self.eye, self.refiner, wraps=scene.wraps))

    def _kept(self, name: str, photo: np.ndarray, make: Callable[[Tensor], Any]) -> Any:
        """What `make` makes of a photo as a tensor, or made of it last time under this name."""
        last = self.__dict__.get(name)
        if last is None or last[0]() is not photo:
            last = self.__dict__[name] = weakref.ref(photo), make(to_tensor(photo).to(self.device))
        return last[1]

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
