"""What the eye says of a photo: the mean of it and of its smaller mirror image."""

import pytest
import torch
from torch import Tensor

from stylecine.networks.eye import Sight
from stylecine.options import CLASSES
from stylecine.perception import see as seeing
from stylecine.perception.see import EyeNetwork, eye_maps, see
from tests.seen import as_the_eye


def sees_the_left(photos: Tensor) -> Sight:
    """An eye to which all on the left side moves, stands and runs to the right, whatever the photo shows."""
    n, _, h, w = photos.shape
    half, eighth = (torch.linspace(4, -4, w // scale).expand(n, 1, h // scale, -1) for scale in (2, 8))
    classes = torch.cat([-half, half, *(torch.full_like(half, -9.0) for _ in CLASSES[1:])], 1)
    right = torch.cat([eighth.clamp(min=0), torch.zeros_like(eighth)], 1)
    water, patches = torch.zeros(n, 7, h // 16, w // 16), torch.zeros(n, 2, h // 4, w // 4)
    return Sight(classes.log_softmax(1), half, right, water, patches, torch.zeros(n, 4))


def picture() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(3, 64, 96) * 2 - 1


def test_probabilities_sum_to_one() -> None:
    seen = see(picture(), sees_the_left, as_the_eye)
    assert seen.classes.shape[0] == 1 + len(CLASSES)
    assert torch.allclose(seen.classes.sum(0), torch.ones(seen.classes.shape[1:]), atol=1e-4)


def test_a_prejudice_about_sides_is_gone_from_the_mean() -> None:
    stands = see(picture(), sees_the_left, as_the_eye).stands
    assert torch.allclose(stands, torch.full_like(stands, 0.5), atol=0.03)


def test_what_is_said_of_the_mirror_image_is_mirrored_back() -> None:
    seen = see(picture(), sees_the_left, as_the_eye)
    left, right = slice(0, 3), slice(-3, None)
    assert seen.directions[0, :, left].min() > 0 and seen.directions[0, :, right].max() == 0
    assert seen.mirrored[0, :, right].max() < 0 and seen.mirrored[0, :, left].abs().max() == 0


def test_the_eye_sees_two_copies_of_known_sizes() -> None:
    shapes = []

    def remembers(photos: Tensor) -> Sight:
        shapes.append(tuple(photos.shape))
        return sees_the_left(photos)

    see(picture(), remembers, as_the_eye)
    mirrored, straight = sorted(min(shape[2:]) for shape in shapes)
    assert straight == seeing.SHORT_SIDE and 0.6 < mirrored / straight < 0.7


def test_the_refiner_sees_the_photo_in_whole_cells() -> None:
    given = []

    def remembers(photo: Tensor, maps: Tensor) -> Tensor:
        given.append((photo.shape, maps.shape))
        return as_the_eye(photo, maps)

    assert see(picture()[:, :50, :70], sees_the_left, remembers).stands.shape == (50, 70)
    assert given == [((1, 3, 512, 720), (1, 6, 256, 360))], "enlarged as for the eye"
    large = see(torch.zeros(3, 1100, 1200), sees_the_left, remembers).stands
    assert large.shape == (1024, 1117), "not larger than it was trained for"


def test_the_maps_are_probabilities_of_classes_and_of_what_stands_before_them() -> None:
    maps = eye_maps(picture(), sees_the_left)
    seen = see(picture(), sees_the_left, as_the_eye)
    assert torch.equal(maps[:-1], seen.classes) and torch.allclose(maps[-1], torch.tensor(0.5), atol=0.03)


def sees_only(kind: str, patches: float = 0.0) -> EyeNetwork:
    """An eye to which everything is of one class, some of it may stand before that, and patches may be foam."""

    def eye(photos: Tensor) -> Sight:
        n, _, h, w = photos.shape
        classes = torch.full((n, 5, h // 2, w // 2), -9.0)
        classes[:, 1 + CLASSES.index(kind)] = 9.0
        occluder = torch.full((n, 1, h // 2, w // 2), 0.4).logit()
        directions, water = torch.zeros(n, 2, h // 8, w // 8), torch.zeros(n, 7, h // 16, w // 16)
        foam = torch.full((n, 2, h // 4, w // 4), patches)
        return Sight(classes.log_softmax(1), occluder, directions, water, foam, torch.zeros(n, 4))

    return eye


@pytest.mark.parametrize(("kind", "stands"), [("sky", 0.4), ("smoke", 0.4), ("water", 0.1), ("falls", 0.1)])
def test_what_the_eye_sees_stand_before_the_sky_does_whatever_the_refiner_says(kind: str, stands: float) -> None:
    seen = see(picture(), sees_only(kind), lambda photo, maps: torch.full_like(photo[:, :1], 0.1).logit())
    assert torch.allclose(seen.stands, torch.tensor(stands), atol=0.02)


@pytest.mark.parametrize("kind", ["water", "falls"])
def test_a_patch_that_the_eye_takes_for_foam_does_not_stand(kind: str) -> None:
    def holds_a_patch(photo: Tensor, maps: Tensor) -> Tensor:
        logits = torch.full_like(photo[:, :1], -5.0)
        logits[..., 200:260, 300:360] = 5.0
        return logits

    photo = picture().repeat(1, 8, 8)
    stood = {said: float(see(photo, sees_only(kind, said), holds_a_patch).stands[230, 330]) for said in (0.5, 1.0)}
    assert stood[0.5] > 0.9 and stood[1.0] == 0
    assert see(photo, sees_only(kind, 1.0), holds_a_patch, scale=seeing.QUICK).stands[230, 330] > 0.9


def test_a_panorama_is_shrunk_for_the_refiner() -> None:
    given = []

    def remembers(photo: Tensor, maps: Tensor) -> Tensor:
        given.append(photo.shape[-2:].numel())
        return as_the_eye(photo, maps)

    assert see(torch.zeros(3, 64, 4000), sees_the_left, remembers).stands.shape == (64, 4000)
    assert given[0] < 1.1 * seeing.MOST_REFINED
