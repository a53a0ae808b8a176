"""What moves: from a network's soft answer to layers at full size, and from whatever a user gives."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylecine.errors import MaskError, NothingMoves, TooLarge
from stylecine.options import CLASSES
from stylecine.perception.edges import erode
from stylecine.perception.layers import apply_mask, moving, predict_probabilities, require_motion, segment
from stylecine.perception.refine import CRF_CELLS, _crf_grid, crf_refine
from stylecine.picture.given_mask import read_mask

H, W = 192, 256


class BlueIsSky(nn.Module):
    """Stands in for the segmenter: 4 times as coarse as the photo, unsure by a few cells at borders."""

    def forward(self, photo: Tensor) -> Tensor:
        blue = nn.functional.avg_pool2d((photo[:, 2:] > 0.2).float(), 2)
        blue = nn.functional.avg_pool2d(blue, 9, 1, 4, count_include_pad=False)
        logits = torch.full((len(photo), 5, *blue.shape[2:]), -6.0)
        logits[:, 0], logits[:, 1] = 0.0, (12 * (blue - 0.5))[:, 0]
        return logits


class Unsure(nn.Module):
    """Not sure of anything below a row of the photo."""

    def __init__(self, segmenter: nn.Module, row: int) -> None:
        super().__init__()
        self.segmenter, self.below = segmenter, row / H

    def forward(self, photo: Tensor) -> Tensor:
        logits = self.segmenter(photo)
        logits[:, 1:, round(self.below * logits.shape[2]) :] *= 0.15
        return logits


def landscape() -> tuple[Tensor, Tensor]:
    """A slanting ridge under a blue sky: the photo [3,H,W] and what of it is sky."""
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    sky = y < 90 + 0.2 * x
    colours = torch.where(
        sky, torch.tensor([0.0, 0.4, 0.9])[:, None, None], torch.tensor([-0.5, -0.6, -0.8])[:, None, None]
    )
    torch.manual_seed(0)
    return colours + 0.02 * torch.randn(3, H, W), sky


def test_layers_follow_the_edges_of_the_photo() -> None:
    photo, sky = landscape()
    layers = segment(photo, BlueIsSky()).layers
    assert layers.shape == (4, H, W) and layers.min() >= 0 and layers.max() <= 1
    predicted = moving(layers) > 0.5
    assert (predicted & sky).sum() / (predicted | sky).sum() > 0.99
    torch.testing.assert_close(moving(layers), layers[CLASSES.index("sky")])


def test_probabilities_are_those_before_the_decision() -> None:
    photo, sky = landscape()
    probabilities = predict_probabilities(photo, BlueIsSky())  # type: ignore[arg-type]
    assert probabilities.shape[0] == 1 + len(CLASSES)
    assert torch.allclose(probabilities.sum(0), torch.ones(probabilities.shape[1:]), atol=1e-4)
    moves = torch.nn.functional.interpolate(1 - probabilities[None, :1], (H, W), mode="bilinear")[0, 0]
    assert float(moves[sky].mean()) > 0.9 > 0.1 > float(moves[~sky].mean())
    assert bool(((moves > 0.02) & (moves < 0.98)).any()), "soft at the border"


def test_static_pixels_are_exactly_zero() -> None:
    photo, sky = landscape()
    moves = moving(segment(photo, BlueIsSky()).layers)
    far = nn.functional.max_pool2d(sky[None].float(), 7, 1, 3)[0] == 0
    assert (moves[far] == 0).float().mean() == 1
    assert not bool(((moves > 0) & (moves < 0.02)).any())


def test_a_photo_of_one_colour_is_no_sky() -> None:
    flat = torch.tensor([0.0, 0.4, 0.9])[:, None, None].expand(3, H, W) + 0.005 * torch.rand(3, H, W)
    assert moving(segment(flat, BlueIsSky()).layers).max() == 0


def test_specks_do_not_move() -> None:
    photo, _ = landscape()
    photo[:, 170:174, 40:44] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    assert moving(segment(photo, BlueIsSky()).layers)[160:185, 30:55].max() == 0


def test_small_islands_move_only_without_a_large_one_beside_them() -> None:
    photo, sky = landscape()
    blue = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    photo[:, 165:181, 40:59] = blue  # 0.6% of the photo
    assert moving(segment(photo, BlueIsSky()).layers)[150:, 20:80].max() == 0
    photo[:] = torch.where(sky, torch.tensor([-0.5, -0.6, -0.8])[:, None, None], photo)
    assert moving(segment(photo, BlueIsSky()).layers)[165:181, 40:59].mean() > 0.5


def test_a_region_moves_only_if_the_network_is_sure_of_it_as_a_whole() -> None:
    photo, sky = landscape()
    below = int(sky.nonzero()[:, 0].max()) + 1
    photo[:, below + 10 :, 20:120] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    layers = segment(photo, Unsure(BlueIsSky(), below)).layers  # type: ignore[arg-type]
    assert moving(layers)[sky].mean() > 0.9 and moving(layers)[below:].max() == 0
    probabilities = predict_probabilities(photo, Unsure(BlueIsSky(), below))  # type: ignore[arg-type]
    assert (1 - probabilities[0])[-4:, probabilities.shape[2] // 4].min() > 0.6, "offered in case it does move"


def test_a_burnt_out_sky_stands_still_as_only_twigs_before_it_would_be_seen_to_move() -> None:
    photo, sky = landscape()
    photo[:, sky] = 0.9
    assert moving(segment(photo, BlueIsSky()).layers).amax() > 0.9
    photo[:, sky] = 0.99
    assert moving(segment(photo, BlueIsSky()).layers).amax() == 0
    photo[:, :40] = 0.5
    assert moving(segment(photo, BlueIsSky()).layers).amax() > 0.9, "nearly half of it has clouds"


def test_what_is_found_before_the_sky_stands_still() -> None:
    photo, _ = landscape()
    photo[:, 20:60, 50:54] = torch.tensor([0.0, 0.45, 0.9])[:, None, None]  # a post as blue as the sky

    def post(photos: Tensor) -> Tensor:
        """Logits at 1/2 of a network that knows it by its place."""
        h, w = photos.shape[2:]
        logits = torch.full((1, 1, h // 2, w // 2), -6.0)
        y, x = torch.meshgrid((torch.arange(h // 2) + 0.5) / (h // 2) * H, torch.linspace(0, W, w // 2), indexing="ij")
        here = (y > 20) & (y < 60) & (x > 50) & (x < 54)
        mirrored = float(photos[0, 2, 110 * h // H, 0]) > float(photos[0, 2, 110 * h // H, -1])
        logits[0, 0][here.flip(1) if mirrored else here] = 6.0
        return logits

    moves = moving(segment(photo, BlueIsSky(), lambda: post).layers)  # type: ignore[arg-type]
    assert moving(segment(photo, BlueIsSky()).layers)[25:55, 51:53].min() > 0.9, "without the network it moves"
    assert moves[25:55, 51:53].max() == 0 and moves[25:55, 60:].min() > 0.9


def test_a_boat_stands_still_and_a_reflection_of_a_twig_does_not() -> None:
    """Neither is fastened to anything, and the network is as sure of both; the twig is long."""
    lake = torch.tensor([0.0, 0.4, 0.9])[:, None, None] + 0.1 * torch.rand(3, H, W)
    boat, twig = (slice(90, 95), slice(125, 131)), (slice(105, 108), slice(108, 148))

    def both(photos: Tensor) -> Tensor:
        """Logits at 1/2 of a network that knows them by their places, which are in the middle of the picture."""
        h, w = photos.shape[2:]
        logits = torch.full((1, 1, H, W), -6.0)
        for rows, columns in (boat, twig):
            logits[..., rows, columns] = 2.0
        return nn.functional.interpolate(logits, (h // 2, w // 2), mode="bilinear", antialias=True)

    moves = moving(segment(lake, Swapped(0.5, 1), lambda: both).layers)  # type: ignore[arg-type]
    assert moves[boat][1:-1, 1:-1].max() == 0 and moves[twig].min() > 0.9


class Swapped(nn.Module):
    """Stands in for a segmenter: the stub's sky, of which it takes the given rows for water."""

    def __init__(self, first: float, last: float) -> None:
        super().__init__()
        self.rows = first, last

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        logits = BlueIsSky()(photos)
        first, last = (round(share * logits.shape[2]) for share in self.rows)
        sky, water = 1 + CLASSES.index("sky"), 1 + CLASSES.index("water")
        logits[:, [sky, water], first:last] = logits[:, [water, sky], first:last]
        return logits


def test_no_water_lies_over_the_sky() -> None:
    """Clouds seen from above look like the sea, and a lake with clouds in it like the sky."""
    blue = torch.tensor([0.0, 0.4, 0.9])[:, None, None] + 0.1 * torch.rand(3, H, W)
    sky, water = CLASSES.index("sky"), CLASSES.index("water")
    from_above = segment(blue, Swapped(0.3, 0.6)).layers  # type: ignore[arg-type]
    assert from_above[water].max() == 0 and from_above[sky].mean() > 0.9
    lake = segment(blue, Swapped(0.5, 1)).layers  # type: ignore[arg-type]
    assert lake[sky, : H // 2 - 10].mean() > 0.9 and lake[water, H // 2 + 10 :].mean() > 0.9, "as nature has it"


def test_sky_below_water_is_its_reflection() -> None:
    photo, _ = landscape()
    photo[:, 20:] = torch.tensor([-0.5, -0.6, -0.8])[:, None, None]  # the sky, a hill, a lake
    photo[:, 80:] = torch.tensor([0.0, 0.4, 0.9])[:, None, None]
    photo += 0.05 * torch.rand(3, H, W)
    layers = segment(photo, Swapped(0.4, 0.7)).layers  # type: ignore[arg-type]
    assert layers[CLASSES.index("sky"), 90:].max() == 0 and layers[CLASSES.index("water"), 90:].mean() > 0.9


def test_moving_joins_the_layers() -> None:
    layers = torch.zeros(4, 2, 2)
    layers[0, 0, 0], layers[1, 0, 0], layers[2, 1, 1] = 0.5, 0.5, 1.0
    assert moving(layers).tolist() == [[0.75, 0.0], [0.0, 1.0]]


def test_less_than_half_a_percent_of_the_photo_is_ignored() -> None:
    mask = torch.zeros(100, 100)
    mask[:6, :10] = 1
    assert require_motion(mask) is mask
    mask[:2] = 0
    with pytest.raises(NothingMoves, match="mask"):
        require_motion(mask)


def test_a_mask_decides_what_moves_and_the_layers_its_class() -> None:
    layers = torch.zeros(4, 100, 100)
    layers[CLASSES.index("sky"), :30] = 1
    mask = torch.zeros(100, 100)
    mask[:35], mask[80:] = 0.75, 1.0
    applied = apply_mask(layers, mask)
    assert torch.equal(moving(applied), mask)
    assert torch.equal(applied[CLASSES.index("sky")][:35], mask[:35])
    assert torch.equal(applied[CLASSES.index("water")][80:], mask[80:])


def test_places_without_any_class_near_are_water() -> None:
    mask = torch.ones(20, 30)
    assert torch.equal(apply_mask(torch.zeros(4, 20, 30), mask)[CLASSES.index("water")], mask)


def half() -> np.ndarray:
    """Its right half moves."""
    return np.repeat(np.arange(40)[None] >= 20, 30, axis=0)


FORMS = {
    "bool": half(),
    "float": half().astype(np.float64),
    "bytes": half().astype(np.uint8) * 255,
    "bytes of 0 and 1": half().astype(np.uint8),
    "integers": half().astype(np.int64) * 255,
    "[h,w,1]": half()[..., None],
    "[1,h,w]": half()[None],
    "[1,1,h,w]": half()[None, None],
    "colour": np.repeat(half()[..., None], 3, 2).astype(np.uint8) * 255,
    "alpha": np.dstack([np.full((30, 40, 3), 255, np.uint8), half().astype(np.uint8) * 255]),
    "tensor": torch.from_numpy(half()).float(),
    "list": half().astype(float).tolist(),
    "image": Image.fromarray(half().astype(np.uint8) * 255),
    "black and white image": Image.fromarray(half().astype(np.uint8) * 255).convert("1"),
    "16-bit image": Image.fromarray(half().astype(np.uint16) * 65535),
    "palette image": Image.fromarray(half().astype(np.uint8) * 255).convert("RGB").convert("P"),
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_come_in_many_forms(form: str) -> None:
    mask = read_mask(FORMS[form], (60, 80))
    assert mask.shape == (60, 80) and mask.dtype == torch.float32
    assert (mask[:, :38] == 0).all() and (mask[:, 42:] == 1).all()


def test_masks_come_from_files(tmp_path: Path) -> None:
    Image.fromarray(half().astype(np.uint8) * 255).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", half())
    assert torch.equal(read_mask(tmp_path / "mask.png", (30, 40)), read_mask(str(tmp_path / "mask.npy"), (30, 40)))


GREEN, GREY, CLEAR = (0, 255, 0), (153, 153, 153), 128


def painted(*colour: int) -> np.ndarray:
    """Colour, or colour and alpha, on the left half; white on the right."""
    picture = np.full((8, 16, len(colour)), 255, np.uint8)
    picture[:, :8] = colour
    return picture


@pytest.mark.parametrize(("colour", "luminance"), [(GREEN, 0.587), (GREY, 0.6), ((255, 0, 0), 0.299)])
def test_colour_is_converted_to_luminance_in_every_form(
    tmp_path: Path, colour: tuple[int, ...], luminance: float
) -> None:
    for name, pixels in (("rgb", painted(*colour)), ("rgba", painted(*colour, 255))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    np.save(tmp_path / "mask.npy", painted(*colour))
    forms = [
        *(tmp_path / name for name in ("rgb.png", "rgba.png", "mask.npy")),
        Image.fromarray(painted(*colour)),
        painted(*colour),
        painted(*colour, 255),
        painted(*colour) / 255,
        torch.from_numpy(painted(*colour)),
    ]
    masks = [read_mask(form, (8, 16)) for form in forms]
    for mask in masks:
        torch.testing.assert_close(mask[:, :8], torch.full((8, 8), luminance))
        assert (mask[:, 8:] == 1).all()


def test_transparent_pixels_count_less() -> None:
    mask = read_mask(painted(*GREEN, CLEAR), (8, 16))
    torch.testing.assert_close(mask[:, :8], torch.full((8, 8), 0.587 * CLEAR / 255))
    assert torch.equal(mask, read_mask(Image.fromarray(painted(*GREEN, CLEAR)), (8, 16)))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_picture_as_good_as_black_is_black(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(half().astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "mask.png")
    for mask in (picture, tmp_path / "mask.png"):
        with pytest.raises(NothingMoves):
            read_mask(mask, (30, 40))


def test_integers_of_0_and_1_are_a_binary_mask() -> None:
    assert torch.equal(read_mask(half().astype(np.uint8), (30, 40)), read_mask(half(), (30, 40)))
    with pytest.raises(NothingMoves):
        read_mask(2 * half().astype(np.uint8), (30, 40))


WRONG: dict[str, Any] = {
    "NaN": np.full((4, 4), np.nan),
    "negative": np.full((4, 4), -1.0),
    "floats to 255": np.full((4, 4), 255.0),
    "too large integers": np.full((4, 4), 4000),
    "complex": np.ones((4, 4), np.complex64),
    "text": "no such file.png",
    "words": np.array([["a", "b"]]),
    "one dimension": np.ones(5),
    "two channels": np.ones((4, 4, 2)),
    "a batch": np.ones((2, 5, 5)),
    "empty": np.ones((0, 4)),
    "ragged": [[1, 2], [3]],
    "object": object(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_unusable_masks(kind: str) -> None:
    with pytest.raises(MaskError):
        read_mask(WRONG[kind], (8, 8))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\0\0"])
@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_broken_mask_files(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MaskError):
        read_mask(path, (8, 8))


def test_a_mask_is_opened_as_carefully_as_a_photo(tmp_path: Path) -> None:
    """Only in formats of photos, as Pillow starts other programs for some; and not with any number of pixels."""
    for kind in ("PCX", "EPS"):
        Image.fromarray(half().astype(np.uint8) * 255).save(tmp_path / "mask.png", kind)
        with pytest.raises(MaskError, match="give a PNG"):
            read_mask(tmp_path / "mask.png", (8, 8))
    (tmp_path / "bomb.pgm").write_bytes(b"P5 20000 20000 255\n")
    with pytest.raises(TooLarge, match="million pixels"):
        read_mask(tmp_path / "bomb.pgm", (8, 8))


def test_a_large_mask_takes_little_memory(tmp_path: Path) -> None:
    Image.new("RGBA", (1000, 2000), (255, 255, 255, 255)).save(tmp_path / "mask.png")
    tracemalloc.start()
    try:
        read_mask(tmp_path / "mask.png", (64, 64))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000 * 20, "bytes"
    finally:
        tracemalloc.stop()


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(MaskError):
        read_mask(tmp_path / "mask.npy", (8, 8))


@pytest.mark.parametrize(
    ("shape", "said"), [((72, 96), False), ((9, 12), False), ((7, 9), False), ((500, 667), False), ((30, 100), True)]
)
def test_a_mask_of_another_shape_is_said_to_be_stretched(
    shape: tuple[int, int], said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    read_mask(np.ones(shape, bool), (72, 96))
    told = "The mask is 100x30 and the photo 96x72, so the mask is stretched; give one of the photo's shape."
    assert caplog.messages == ([told] if said else [])


@pytest.mark.parametrize("empty", [np.zeros((4, 4)), np.zeros((4, 4), bool), np.zeros((4, 4), np.uint8)])
def test_an_empty_mask_moves_nothing(empty: np.ndarray) -> None:
    with pytest.raises(NothingMoves):
        read_mask(empty, (8, 8))


def test_static_objects_keep_their_edges() -> None:
    """The mask reaches four pixels too far over a dark ridge; what moves ends at the ridge's own edge."""
    photo = torch.full((3, 400, 400), 0.5)
    photo[:, 200:] = -0.5
    layers = torch.zeros(4, 400, 400)
    layers[0, :204] = 1
    still = erode(layers, photo).moves == 0
    assert still[198:].all()
    assert not still[:190].any()


def test_nearby_places_of_similar_colour_agree() -> None:
    """The network says water on the blue half and static on the brown one, but errs on some places of each."""
    torch.manual_seed(0)
    photo = torch.full((3, 96, 128), -0.5)
    photo[2, :, :64] = 0.5
    water = torch.full((48, 64), 0.4)
    water[:, :32] = 0.6
    water = torch.where(torch.rand(12, 16).repeat_interleave(4, 0).repeat_interleave(4, 1) < 0.15, 1 - water, water)
    shares = torch.stack([1 - water, torch.zeros_like(water), water, *torch.zeros(2, 48, 64)])
    refined = crf_refine(shares, photo)
    assert (water[:, :32] < 0.5).float().mean() > 0.15
    assert (refined[2, :, :32] > 0.5).float().mean() > 0.95
    assert (refined[0, :, 32:] > 0.5).float().mean() > 0.95
    torch.testing.assert_close(refined.sum(0), torch.ones(48, 64))


@pytest.mark.parametrize("size", [(448, 448), (448, 1792), (1792, 448), (16, 16), (1, 5000)])
def test_the_grid_of_the_random_field_is_bounded(size: tuple[int, int]) -> None:
    rows, columns = _crf_grid(torch.Size(size))
    assert 1 <= rows * columns <= max(CRF_CELLS, max(size))
    assert rows <= size[0] and columns <= size[1]


def sky_over_ground(things: list[tuple[slice, slice]]) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo of a bright, slightly cloudy sky over dark ground, with dark things in the sky that the mask misses."""
    photo = 0.4 + 0.1 * torch.sin(torch.arange(400) / 40).expand(3, 400, 400).clone()
    for place in [(slice(300, 400), slice(0, 400)), *things]:
        photo[:, place[0], place[1]] = -0.4
    layers = torch.zeros(4, 400, 400)
    layers[0, :300] = 1
    return photo, layers


def test_a_mast_in_the_sky_is_static() -> None:
    mast = (slice(100, 300), slice(200, 203))
    photo, layers = sky_over_ground([mast])
    moves = erode(layers, photo).moves
    assert (moves[mast] == 0).all()
    assert (moves[:290, :190] == 1).all()
    assert (moves[:290, 212:] == 1).all()


def test_a_bird_moves_with_the_sky() -> None:
    bird = (slice(100, 103), slice(200, 206))
    photo, layers = sky_over_ground([bird])
    assert (erode(layers, photo).moves[:290] == 1).all()


def disc(radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(400), torch.arange(400), indexing="ij")
    return (y - 120) ** 2 + (x - 200) ** 2 <= radius**2


def test_the_sun_is_static_and_its_glow_is_not() -> None:
    photo, layers = sky_over_ground([])
    photo[:, disc(9)] = 1.0
    moves = erode(layers, photo).moves
    assert (moves[disc(9)] == 0).all()
    assert (moves[:290][~disc(24)[:290]] == 1).all()


def test_the_sun_is_static_in_any_class() -> None:
    photo, layers = sky_over_ground([])
    photo[:, disc(9)] = 1.0
    falls = CLASSES.index("falls")
    layers[:, disc(12)] = nn.functional.one_hot(torch.tensor(falls), 4).float()[:, None]
    assert (erode(layers, photo).moves[disc(9)] == 0).all()


def test_the_sun_is_static_where_it_is_burnt_out() -> None:
    photo, layers = sky_over_ground([])
    photo[:, disc(26)] = 1.0
    assert (erode(layers, photo).moves[disc(26)] == 0).all()


def test_a_long_white_cloud_is_not_the_sun() -> None:
    photo, layers = sky_over_ground([])
    photo[:, 100:116, 100:220] = 1.0
    assert (erode(layers, photo).moves[:290] == 1).all()


def test_a_large_white_cloud_is_not_the_sun() -> None:
    photo, layers = sky_over_ground([])
    photo[:, disc(60)] = 1.0
    assert (erode(layers, photo).moves[:290] == 1).all()


@pytest.mark.parametrize(("sky", "stands"), [(-0.6, True), (0.4, False)])
def test_stars_are_static(sky: float, stands: bool) -> None:
    photo, layers = sky_over_ground([])
    photo[:, :300] = sky
    photo[:, 100, 100] = photo[:, 200, 300] = sky + 0.4
    still = erode(layers, photo).moves[:290] == 0
    assert bool(still[100, 100] and still[200, 300]) == stands
    assert still.float().mean() < 0.001


def test_streaks_and_edges_of_clouds_at_night_are_no_stars() -> None:
    photo, layers = sky_over_ground([])
    photo[:, :300] = -0.6
    photo[:, 100:103, 50:200] = photo[:, 150:250, 250:350] = -0.1
    assert (erode(layers, photo).moves[:290] == 1).all()


def test_texture_is_not_an_edge() -> None:
    """Rough water keeps moving up to a thin rim along its border."""
    torch.manual_seed(0)
    photo = torch.rand(3, 400, 400) - 0.5
    layers = torch.zeros(4, 400, 400)
    layers[1, :200] = 1
    assert (erode(layers, photo).moves[:196] == 1).all()
