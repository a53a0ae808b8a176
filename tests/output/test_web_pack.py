"""What a browser gets of a loop; tests/player shows that it is enough."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load

from stylecine.cloth.animate import animate_cloth
from stylecine.errors import OptionError
from stylecine.ops.image import mirrored
from stylecine.options import Wind, check_live
from stylecine.output.web_pack import FORMAT, pack, pack_wind, plate
from stylecine.picture.loop import Loop
from stylecine.picture.overlay import Overlay
from tests.cloths import STAND_INS, flag_mask, flag_photo, rest_shape_of
from tests.loops import FPS, appearance_of, loop_of, packed, textured

PERIOD, MARGIN = 60, 32


def facts(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    told: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["stylecine"])
    return told


def opened(picture: np.ndarray) -> np.ndarray:
    with Image.open(io.BytesIO(picture.tobytes())) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def loop(photo: np.ndarray, water: np.ndarray) -> Loop:
    return loop_of(textured(photo), water, 0.2, margin=MARGIN, swells=[2.0, 1.0])


def test_the_plate_can_be_recovered_from_its_splines(loop: Loop) -> None:
    found, moves = plate(loop)[MARGIN:-MARGIN, MARGIN:-MARGIN], loop.moving > 0
    assert torch.equal(found[moves], loop.photo[moves])


def test_photo_and_inpainted_pixels_make_the_plate(loop: Loop) -> None:
    tensors = load(packed(loop))
    assert np.array_equal(opened(tensors["photo"]), loop.photo.numpy())
    inpainted, expected = opened(tensors["plate"]), loop.photo
    for axis in (0, 1):
        expected = mirrored(expected, MARGIN, MARGIN, axis)
    joined = np.where(inpainted[..., 3:] > 0, inpainted[..., :3], expected.numpy())
    assert np.array_equal(joined, plate(loop).numpy())
    still = inpainted[MARGIN:-MARGIN, MARGIN:-MARGIN, 3] > 0
    assert not still[loop.moving.numpy() > 0].any() and still[loop.moving.numpy() == 0].mean() > 0.8


def test_fields_are_quantized_below_the_visible(loop: Loop) -> None:
    content = packed(loop)
    tensors, scales = load(content), facts(content)["scales"]
    displacement = loop.displacement
    velocity = tensors["velocity"] * scales["velocity"] - displacement.rates[0, 0].permute(1, 2, 0).numpy()
    assert np.abs(velocity).max() * PERIOD < 0.01  # pixels at the end of the loop
    assert displacement.swell is not None
    assert facts(content)["swell_cycles"] == [1, 2]
    swell = tensors["swell"].reshape(*tensors["swell"].shape[:2], 4, 2) * scales["swell"]
    assert np.abs(swell - displacement.swell.permute(2, 3, 0, 1).numpy()).max() < 0.001
    begin = tensors["crossfade"][..., 1] * scales["crossfade"] - loop.crossfade[0].numpy()
    assert np.abs(begin).max() <= scales["crossfade"] / 2 + 1e-6
    assert np.array_equal(tensors["crossfade"][..., 0], displacement.sub_cycle.numpy())
    assert np.array_equal(tensors["crossfade"][..., 2], loop.crossfade[1].numpy())
    assert np.array_equal(tensors["moving"] > 0, loop.moving.numpy() > 0)
    assert np.abs(tensors["moving"] / 255 - loop.moving.numpy()).max() <= 1 / 255


def test_statistics_are_means_over_blocks(loop: Loop) -> None:
    content = packed(loop)
    scales = facts(content)["scales"]
    statistics = load(content)["statistics"]
    assert statistics.shape == (9, (72 + 2 * MARGIN) // 8, (96 + 2 * MARGIN) // 8, 4)
    angle = loop.angle[2, 1, 64:72, 80:88].mean()
    assert statistics[1, 8, 10, 2] * scales["angle"] == pytest.approx(float(angle), abs=scales["angle"])
    gain = loop.contrast_gain[0, 1, 2, 64:72, 80:88].mean()
    assert statistics[8, 8, 10, 0] * scales["contrast_gain"] == pytest.approx(float(gain), abs=scales["contrast_gain"])


def test_the_digest_changes_only_with_the_plate(loop: Loop) -> None:
    without_swell = replace(loop.displacement, swell=None, swell_cycles=())
    other = replace(loop, crossfade=torch.zeros_like(loop.crossfade), displacement=without_swell)
    assert facts(packed(loop))["plate_digest"] == facts(packed(other))["plate_digest"]
    darker = replace(loop, photo=loop.photo // 2)
    assert facts(packed(loop))["plate_digest"] != facts(packed(darker))["plate_digest"]


def test_layers_are_included_on_the_grid(loop: Loop) -> None:
    layers = torch.zeros(4, 72, 96)
    layers[1] = loop.moving
    kept = load(pack(loop, PERIOD, FPS, layers=layers))["layers"]
    assert kept.shape == (4, *loop.displacement.sub_cycle.shape)
    inside = kept[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert np.array_equal(inside[1], np.rint(loop.moving.numpy() * 255)) and not inside[[0, 2, 3]].any()
    assert (kept[1, -MARGIN:, MARGIN:-MARGIN] == inside[1, -1]).all()  # past the border what is at it


def test_pictures_may_be_smaller_or_left_out(loop: Loop) -> None:
    plain, small, none = (
        pack(loop, PERIOD, FPS, **given) for given in ({}, {"quality": 60}, {"quality": 60, "photo": False})
    )
    assert len(none) < len(small) < len(plain)
    assert facts(plain)["picture"] == "image/png" and facts(small)["picture"] == "image/webp"
    assert "photo" not in load(none)
    assert np.abs(opened(load(small)["photo"]).astype(int) - loop.photo.numpy()).mean() < 6


def test_loops_that_shaders_cannot_play(loop: Loop) -> None:
    for warp, sampling in (("dfw", "gather"), ("msdfw", "splat")):
        with pytest.raises(OptionError, match="use sampling gather with warp msdfw or pixel"):
            check_live(warp, sampling)
    with pytest.raises(OptionError, match="write a video"):
        packed(replace(loop, sampling="splat"))
    with pytest.raises(OptionError, match="0 to 100"):
        pack(loop, PERIOD, FPS, quality=101)


# --- overlays


@pytest.fixture(scope="module")
def cloth() -> Overlay:
    return animate_cloth(rest_shape_of(flag_photo(), flag_mask()), STAND_INS, Wind(0, 0.8), cycles=2, period=PERIOD)


@pytest.fixture(scope="module")
def plants(cloth: Overlay) -> Overlay:
    return replace(cloth, kind="plants", matte=cloth.matte // 2, cycles=1, gustiness=0.0, fine=True)


def test_a_landscape_alone_has_no_overlays(loop: Loop) -> None:
    content = packed(loop)
    assert facts(content)["overlays"] == [] and not [name for name in load(content) if name.startswith("overlays")]


def test_cloth_is_quantized_below_the_visible(cloth: Overlay) -> None:
    content = pack(None, PERIOD, FPS, overlays=[cloth])
    tensors, told = load(content), facts(content)
    assert (told["format"], told["width"], told["height"], told["period"]) == (FORMAT, 128, 96, PERIOD)
    (flag,) = told["overlays"]
    assert (flag["kind"], flag["cycles"], flag["grid"], flag["fine"]) == ("cloth", 2, [48, 64], False)
    differences = tensors["overlays.0.keyframes"]
    keyframes = np.cumsum(differences, axis=3, dtype=np.int16) * np.array(flag["steps"])[[0, 0, 1], None, None]
    (top, left), (rows, columns) = flag["at"], keyframes.shape[2:]
    expected = cloth.keyframes[1:, :, top : top + rows, left : left + columns].numpy()
    needed = np.zeros((48, 64), bool)
    for y, x in zip(*np.nonzero(cloth.active.numpy()), strict=True):
        needed[max(0, 16 * y - 2) : 16 * y + 18, max(0, 16 * x - 2) : 16 * x + 18] = True
    beside = ~needed[top : top + rows, left : left + columns]
    off = np.where(beside, 0, np.abs(keyframes - expected))
    assert off[:, :2].max() <= 1 / 256 and off[:, 2].max() <= 1 / 2048
    outside = cloth.keyframes.numpy() * needed
    outside[:, :, top : top + rows, left : left + columns] = 0
    assert not outside.any()


def test_a_grid_coarser_than_tiles_has_what_the_active_ones_need(cloth: Overlay) -> None:
    active = torch.zeros(16, 20, dtype=torch.uint8)
    active[12, 16] = 1  # where the grid of 64 pixels has row 6, column 8
    coarse = replace(cloth, keyframes=torch.ones(4, 3, 8, 10), cell=64, active=active)
    content = pack_wind(overlays=[coarse])
    (told,) = facts(content)["overlays"]
    (top, left), (rows, columns) = told["at"], load(content)["overlays.0.keyframes"].shape[2:]
    assert top <= 6 < top + rows and left <= 8 < left + columns


def test_pictures_of_cloth(cloth: Overlay) -> None:
    for quality in (None, 80):
        tensors = load(pack(None, PERIOD, FPS, overlays=[cloth], quality=quality))
        matte = opened(tensors["overlays.0.matte"])
        assert np.array_equal(matte, cloth.matte.numpy()), "or the sky would be a little cloth"
    tensors = load(pack(None, PERIOD, FPS, overlays=[cloth]))
    assert np.array_equal(opened(tensors["photo"]), cloth.photo.numpy())
    behind = opened(tensors["overlays.0.background"])
    joined = np.where(behind[..., 3:] > 0, behind[..., :3], cloth.photo.numpy())
    assert np.array_equal(joined, cloth.background.numpy()) and not behind[0, 0].any()


def test_another_wind_is_what_it_changes_in_a_pack(cloth: Overlay) -> None:
    whole, wind = pack(None, PERIOD, FPS, overlays=[cloth]), pack_wind(overlays=[cloth])
    kept, changed = load(whole), load(wind)
    assert set(changed) == {"overlays.0.keyframes", "overlays.0.active"}
    assert all(np.array_equal(changed[name], kept[name]) for name in changed)
    assert facts(wind) == {"format": FORMAT, "scales": {}, "overlays": facts(whole)["overlays"]}


def test_another_wind_for_a_landscape_with_plants(plants: Overlay) -> None:
    loop = loop_of(flag_photo(), np.ones((96, 128), np.float32), 0.2)
    whole = pack(loop, PERIOD, FPS, overlays=[plants])
    wind = pack_wind(loop.displacement.rates[0, 0], None, overlays=[plants])
    kept, changed = load(whole), load(wind)
    assert set(changed) == {"velocity", "overlays.0.keyframes", "overlays.0.active"}
    assert all(np.array_equal(changed[name], kept[name]) for name in changed)
    told, known = facts(wind), facts(whole)
    assert told["overlays"] == known["overlays"] and told["scales"] == {"velocity": known["scales"]["velocity"]}


def test_overlays_are_in_the_order_in_which_they_are_drawn(plants: Overlay, cloth: Overlay) -> None:
    content = pack(None, PERIOD, FPS, overlays=[plants, cloth], layers=torch.zeros(4, 96, 128))
    told, tensors = facts(content), load(content)
    assert [(each["kind"], each["fine"]) for each in told["overlays"]] == [("plants", True), ("cloth", False)]
    for number, overlay in enumerate((plants, cloth)):
        assert np.array_equal(opened(tensors[f"overlays.{number}.matte"]), overlay.matte.numpy())
    assert told["classes"] == ["cloth"] and len(tensors["layers"]) == 1, "plants are no class that one paints"


def test_the_photo_is_behind_overlays_that_have_not_moved(plants: Overlay, cloth: Overlay) -> None:
    content = pack(None, PERIOD, FPS, overlays=[plants, cloth])
    assert np.array_equal(opened(load(content)["photo"]), cloth.photo.numpy())


def test_cloth_is_one_more_layer(cloth: Overlay) -> None:
    content = pack(None, PERIOD, FPS, overlays=[cloth], layers=torch.zeros(4, 96, 128))
    (kept,) = load(content)["layers"]
    assert facts(content)["classes"] == ["cloth"] and kept.shape == (48, 64)
    assert kept[22, 34] == 255 and kept[1, 1] == 0


def test_cloth_over_a_landscape(cloth: Overlay) -> None:
    photo = flag_photo()
    sky = np.zeros((96, 128), np.float32)
    sky[:12] = 1
    loop = loop_of(photo, sky, 0.2)
    content = pack(loop, PERIOD, FPS, overlays=[cloth], layers=torch.zeros(4, 96, 128))
    tensors = load(content)
    assert facts(content)["classes"] == ["sky", "water", "falls", "smoke", "cloth"]
    assert tensors["layers"].shape == (5, *loop.displacement.sub_cycle.shape)
    assert np.array_equal(opened(tensors["photo"]), photo)
    assert {"velocity", "plate", "overlays.0.keyframes"} <= set(tensors)


# --- styles


def test_a_style_is_quantized_below_the_visible(loop: Loop) -> None:
    appearance = appearance_of(loop.photo, loop.moving, strength=0.6, drift=True)
    content = packed(loop, appearance)
    told, transforms = facts(content), load(content)["style"]
    style = told["style"]
    assert told["format"] == FORMAT
    assert {**style, "step": None} == {"depth": 8, "grid": [5, 7], "strength": 0.6, "drift": True, "step": None}
    off = np.abs(transforms * style["step"] - appearance.grid[..., :3].permute(0, 4, 1, 2, 3).numpy())
    assert transforms.dtype == np.int16 and off.sum(-1).max() * 255 < 0.15  # levels, of a white pixel


def test_a_style_may_be_lost_or_extreme(loop: Loop) -> None:
    appearance = appearance_of(loop.photo, loop.moving)
    for value, kept in ((torch.nan, 0), (100, 100)):
        grid = appearance.grid.clone()
        grid[3, 2, 1, 0, 2] = value
        content = packed(loop, replace(appearance, grid=grid))
        style = facts(content)["style"]
        assert load(content)["style"][3, 2, 2, 1, 0] * style["step"] == pytest.approx(kept)


def test_images_and_their_digest_are_those_without_a_style(loop: Loop, cloth: Overlay) -> None:
    appearance = appearance_of(loop.photo, loop.moving)
    plain, styled = (packed(loop, given) for given in (None, appearance))
    assert np.array_equal(opened(load(styled)["photo"]), loop.photo.numpy())
    assert facts(styled)["plate_digest"] == facts(plain)["plate_digest"] and set(load(styled)) == {
        *load(plain),
        "style",
    }
    appearance = appearance_of(cloth.photo, cloth.reach)
    flag = pack(None, PERIOD, FPS, overlays=[cloth], appearance=appearance)
    assert facts(flag)["format"] == FORMAT and {"overlays.0.keyframes", "style"} <= set(load(flag))
    assert np.array_equal(opened(load(flag)["photo"]), cloth.photo.numpy())
