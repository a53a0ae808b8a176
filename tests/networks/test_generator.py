"""The generator equals StyleGAN2's formulas as an independent, literal restatement computes them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylecine.errors import WeightsMalformed
from stylecine.networks.generator import Generator, merge, upsample
from tests.networks import stylegan2_literal as literal

SLIM = {4: 7, 8: 5, 16: 6}
CHANNELS = {
    "16-odd": SLIM,
    "32": {4: 8, 8: 8, 16: 6, 32: 4},
    "64-odd": {4: 9, 8: 7, 16: 6, 32: 5, 64: 3},
}


def latents(n: int, layers: int, seed: int = 1) -> Tensor:
    return torch.randn(n, layers, 512, generator=torch.Generator().manual_seed(seed))


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    scale = float(theirs.abs().max())
    assert 0.1 < scale < 1e4  # the comparison means something
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4 * min(scale, 1))


@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS.keys())
@pytest.mark.parametrize("noise", [False, True], ids=["no-noise", "noise"])
@pytest.mark.parametrize("photos", [1, 2])  # one has its styles in the weights, more have them in the features
def test_whole_synthesis(channels: dict[int, int], noise: bool, photos: int) -> None:
    tensors = literal.random_tensors(channels)
    w_plus = latents(photos, 2 * len(channels))
    ours = Generator.from_tensors(tensors).synthesize(w_plus, "const" if noise else "none")
    close(ours, literal.synthesis(tensors, w_plus, noise=noise))


@pytest.mark.parametrize("size", [(8, 8), (5, 11), (1, 1), (3, 2)], ids=str)
def test_from_feature_at_any_aspect_ratio(size: tuple[int, int]) -> None:
    tensors = literal.random_tensors({4: 5, 8: 6, 16: 5, 32: 3}, noise=False)
    generator = Generator.from_tensors(tensors, "b8.conv1")
    w_plus = latents(2, 8)
    feature = torch.randn(2, 6, *size, generator=torch.Generator().manual_seed(2))
    ours = generator.from_feature(feature, w_plus)
    theirs = [literal.torgb(tensors, "synthesis.b8.torgb", feature, w_plus[:, 3])]
    theirs += [rgb for rgb, _ in literal.above(tensors, feature, w_plus, 8, noise=False)]
    assert len(ours) == len(theirs) == 3
    for mine, witness in zip(ours, theirs, strict=True):
        close(mine, witness)
    image = theirs[0]
    for finer in theirs[1:]:
        image = torch.stack([literal.upsampled(i) for i in image]) + finer
    close(merge(ours), image)


def test_one_feature_may_have_several_styles() -> None:
    generator = Generator.from_tensors(literal.random_tensors({4: 5, 8: 6, 16: 5}, noise=False), "b8.conv1")
    w_plus, feature = latents(2, 6), torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(2))
    together = generator.from_feature(feature, w_plus)
    for i, alone in enumerate(generator.from_feature(feature, w_plus[j : j + 1]) for j in range(2)):
        for one, several in zip(alone, together, strict=True):
            close(several[i : i + 1], one)


def test_trunk_features_are_those_that_feed_each_torgb() -> None:
    tensors = literal.random_tensors(CHANNELS["32"], noise=False)
    w_plus = latents(1, 8)
    feature = torch.randn(1, 8, 6, 10, generator=torch.Generator().manual_seed(3))
    ours = Generator.from_tensors(tensors, "b8.conv1").trunk_from_feature(feature, w_plus)
    theirs = literal.above(tensors, feature, w_plus, 8, noise=False)
    assert torch.equal(ours[0], feature)
    for mine, (_, witness) in zip(ours[1:], theirs, strict=True):
        close(mine, witness)


def test_synthesis_continues_exactly_from_the_feature() -> None:
    """Only the ToRGBs below F are left out, so with those silent the image is the generator's own."""
    tensors = literal.random_tensors(CHANNELS["32"], noise=False)
    tensors["synthesis.b4.torgb.weight"] = torch.zeros_like(tensors["synthesis.b4.torgb.weight"])
    tensors["synthesis.b4.torgb.bias"] = torch.zeros(3)
    generator = Generator.from_tensors(tensors, "b8.conv1")
    w_plus = latents(1, 8)
    image = merge(generator.from_feature(generator.feature(w_plus), w_plus))
    close(image, generator.synthesize(w_plus, "none"))


@pytest.mark.parametrize("psi", [1.0, 0.5, 0.0])
def test_mapping_and_truncation(psi: float) -> None:
    tensors = literal.random_tensors(SLIM, layers=3)
    z = 5 * torch.randn(4, 512, generator=torch.Generator().manual_seed(4))
    ours = Generator.from_tensors(tensors).mapping(z, psi)
    close(ours, literal.mapping(tensors, z, psi))
    if psi == 0:
        torch.testing.assert_close(ours, tensors["mapping.w_avg"].expand(4, -1))


def test_upsampling_is_bilinear_inside() -> None:
    """[1,3,3,1] at half-pixel centres is bilinear interpolation, but for the border, where it fades to 0."""
    x = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(5))
    close(upsample(x), literal.upsampled(x[0])[None])
    bilinear = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample(x)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def test_shifting_the_feature_shifts_the_picture() -> None:
    tensors = literal.random_tensors(CHANNELS["32"], noise=False)
    generator = Generator.from_tensors(tensors, "b8.conv1")
    w_plus = latents(1, 8)
    feature = torch.randn(1, 8, 12, 16, generator=torch.Generator().manual_seed(6))
    image = merge(generator.from_feature(feature, w_plus))
    shifted = merge(generator.from_feature(feature.roll(2, dims=3), w_plus))
    inner = slice(24, -16)  # away from the seam of the roll
    torch.testing.assert_close(shifted[..., inner][..., 8:], image[..., inner][..., :-8], rtol=0, atol=1e-3)


BROKEN = {
    "a tensor is missing": lambda t: t.pop("synthesis.b8.conv0.weight"),
    "a shape is wrong": lambda t: t.update({"synthesis.b16.conv1.bias": torch.zeros(99)}),
    "an unknown tensor": lambda t: t.update({"synthesis.b8.skip.weight": torch.zeros(5, 7, 1, 1)}),
    "a resolution is missing": lambda t: [t.pop(k) for k in list(t) if ".b8." in k],
    "a strange resolution": lambda t: t.update({"synthesis.bx.const": torch.zeros(1)}),
    "no tensors": lambda t: t.clear(),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN.keys())
def test_tensors_of_something_else(spoil: object) -> None:
    tensors = literal.random_tensors(SLIM)
    assert callable(spoil)
    spoil(tensors)
    with pytest.raises(WeightsMalformed):
        Generator.from_tensors(tensors)


@pytest.mark.parametrize("size", [(8, 8), (5, 11)], ids=str)
def test_noise_from_a_seed_has_the_shape_and_is_the_same_again(size: tuple[int, int]) -> None:
    """Above F, of any aspect ratio; another seed, and no noise, give other pictures."""
    generator = Generator.from_tensors(literal.random_tensors(CHANNELS["32"]), "b8.conv1")
    feature, w_plus = torch.randn(1, 8, *size), latents(1, 8)

    def picture(of: Generator) -> Tensor:
        return merge(of.from_feature(feature, w_plus))

    plain = picture(generator)
    one, again, two = (picture(generator.seeded(seed)) for seed in (1, 1, 2**63 - 1))
    assert one.shape == (1, 3, 4 * size[0], 4 * size[1])
    assert torch.equal(one, again)
    assert not torch.equal(one, two) and not torch.equal(one, plain)
    assert torch.equal(picture(generator), plain), "the generator itself has no seed"


def test_styles_have_gradients_in_a_single_picture() -> None:
    """Where w+ is optimised the styles go into the features; the picture is the same."""
    generator = Generator.from_tensors(literal.random_tensors(CHANNELS["32"], noise=False))
    w_plus = latents(1, 8).requires_grad_()
    image = generator.synthesize(w_plus, "none", up_to=16)
    (gradient,) = torch.autograd.grad(image.square().sum(), w_plus)
    assert image.shape == (1, 3, 16, 16)
    assert gradient[:, :6].abs().amax(2).all() and not gradient[:, 6:].any()
    with torch.no_grad():
        close(image, generator.synthesize(w_plus, "none", up_to=16))
