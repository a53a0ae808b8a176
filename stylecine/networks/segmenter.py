"""Which pixels of a landscape photo move: VGG16's features in four bits, and a small decoder.

The trunk is VGG16 (Simonyan and Zisserman 2015) up to conv4_3 as ImageNet left it. Its weights are stored
as four-bit codes into sixteen levels for each output channel, an eighth of their size. The decoder gathers
context at 1/16 by dilated residual blocks (Yu and Koltun 2016) and a global mean, and returns to 1/2 by
upsampling and joining (Ronneberger et al. 2015).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylecine.errors import WeightsMalformed

GROUPS = 8
LEVELS = 16
# mean and standard deviation of ImageNet, for photos in [-1, 1]
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


def normalise(photo: Tensor) -> Tensor:
    """Photos [N,3,H,W] in [-1,1] to the zero mean and unit deviation that ImageNet networks expect."""
    shift = torch.tensor(SHIFT, device=photo.device).view(1, 3, 1, 1)
    scale = torch.tensor(SCALE, device=photo.device).view(1, 3, 1, 1)
    return (photo - shift) / scale


class Trunk(nn.Module):
    """VGG16 up to conv4_3; `widths` are the channels of its four stages."""

    DEPTHS = (2, 2, 3, 3)

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256, 512)) -> None:
        super().__init__()
        outputs = [w for w, depth in zip(widths, self.DEPTHS, strict=True) for _ in range(depth)]
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in zip([3, *outputs], outputs, strict=False)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Normalised image [N,3,H,W], H and W multiples of 16 -> features at 1/2, 1/4, 1/8 and 1/16."""
        x, features, convs = image, [], iter(self.convs)
        for depth in self.DEPTHS:
            for _ in range(depth):
                x = F.relu(next(convs)(x))
            features.append(x)
            x = F.max_pool2d(x, 2)
        return [*features[1:], x]


class Decoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16 of an image -> class logits at 1/2."""

    def __init__(self, channels: tuple[int, ...], classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.enter = nn.Conv2d(channels[3] + 2, w16, 1)
        self.norm = nn.GroupNorm(GROUPS, w16)
        self.context = nn.ModuleList(_Dilated(w16, dilation) for dilation in (1, 2, 4, 8))
        self.overall = nn.Linear(w16, w16)
        self.up8 = _Join(w16, channels[2], w8)
        self.up4 = _Join(w8, channels[1], w4)
        self.up2 = _Join(w4, channels[0], w2)
        self.leave = nn.Conv2d(w2, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        half, quarter, eighth, sixteenth = features
        x = F.relu(self.norm(self.enter(torch.cat([sixteenth, _coordinates(sixteenth)], 1))))
        for block in self.context:
            x = block(x)
        x = x + self.overall(x.mean((2, 3)))[:, :, None, None]
        return self.leave(self.up2(self.up4(self.up8(x, eighth), quarter), half))


class Segmenter(nn.Module):
    """photo [N,3,H,W] in [-1,1] -> logits [N,5,H/2,W/2]: static, sky, water, falls, smoke.

    H and W are multiples of 16.
    """

    def __init__(
        self,
        trunk: tuple[int, ...] = (64, 128, 256, 512),
        widths: tuple[int, ...] = (24, 48, 64, 96),
        classes: int = 5,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(trunk)
        self.decoder = Decoder((*trunk[1:], trunk[-1]), classes, widths)

    def forward(self, photo: Tensor) -> Tensor:
        return self.decoder(self.trunk(normalise(photo).contiguous(memory_format=torch.channels_last)))

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Segmenter:
        """The network whose weights these are, `NAME.codes` and `NAME.levels` standing for `NAME`.

        Sizes come from the shapes. WeightsMalformed if they do not fit.
        """
        try:
            ends = [sum(Trunk.DEPTHS[: i + 1]) - 1 for i in range(len(Trunk.DEPTHS))]
            network = cls(
                trunk=tuple(len(tensors[f"trunk.convs.{i}.bias"]) for i in ends),
                widths=(
                    *(len(tensors[f"decoder.up{s}.mix.bias"]) for s in (2, 4, 8)),
                    len(tensors["decoder.enter.bias"]),
                ),
                classes=len(tensors["decoder.leave.bias"]),
            )
            shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
            network.load_state_dict(unpacked(tensors, shapes))
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise WeightsMalformed(
                "The segmenter's weights do not fit its network; fetch the model again."
            ) from error
        return network.eval().requires_grad_(False)


def unpacked(tensors: dict[str, Tensor], shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Each pair NAME.codes [O,n/2] uint8, two codes a byte, and NAME.levels [O,16] becomes NAME [O,...]."""
    plain = {name: t for name, t in tensors.items() if not name.endswith((".codes", ".levels"))}
    for codes_name in (name for name in tensors if name.endswith(".codes")):
        name = codes_name.removesuffix(".codes")
        packed, levels = tensors[codes_name], tensors[f"{name}.levels"]
        codes = torch.stack([packed & 15, packed >> 4], 2).flatten(1).long()
        plain[name] = levels.gather(1, codes).view(shapes[name])
    return plain


class _Dilated(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.conv(x)))


class _Join(nn.Module):
    """Doubles the resolution of `coarse` and mixes it with the features that live there."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, width, 1)
        self.fine = nn.Conv2d(fine, width, 1)
        self.mix = nn.Conv2d(2 * width, width, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, width)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # a 1x1 convolution commutes with bilinear upsampling and is a quarter of the work before it
        up = F.interpolate(self.coarse(coarse), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.mix(F.relu(torch.cat([up, self.fine(fine)], 1)))))


def _coordinates(x: Tensor) -> Tensor:
    n, _, h, w = x.shape
    rows = (torch.arange(h, device=x.device, dtype=x.dtype) + 0.5) / h * 2 - 1
    columns = (torch.arange(w, device=x.device, dtype=x.dtype) + 0.5) / w * 2 - 1
    return torch.stack([rows[:, None].expand(h, w), columns[None].expand(h, w)]).expand(n, 2, h, w)
