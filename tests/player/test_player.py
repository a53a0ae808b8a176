"""The player in headless Chromium: its frames match the engine's; its interface."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from benchmarks.browser import CHROMIUM, PLAYER, Stage, chromium
from stylecine.cloth.animate import animate_cloth, preview_cloth
from stylecine.options import WEATHERS, Wind
from stylecine.output.web_pack import FORMAT, pack, pack_wind
from stylecine.picture.crossfade import BEGIN_STEPS
from stylecine.picture.loop import Loop
from stylecine.picture.overlay import Overlay
from stylecine.picture.transparency import UNDER, flattened
from tests.cloths import STAND_INS, flag_mask, flag_photo, rest_shape_of
from tests.loops import FPS, appearance_of, frame, loop_of, packed, textured, weather_of

if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)
pytest.importorskip("playwright", reason="playwright, which drives the browser, is not installed")
pytestmark = pytest.mark.browser


def crossed(water: np.ndarray) -> np.ndarray:
    """Water, and a square of the sky: two regions with sub-cycles of different lengths."""
    moving = water.astype(np.float32)
    moving[4:16, :20] = 0.6
    return moving


def dissolving(loop: Loop) -> Loop:
    """The loop, whose places change one after the other from left to right, quickly, as those of clouds."""
    across = torch.linspace(0, 0.75 * BEGIN_STEPS, loop.crossfade.shape[2]).round() / BEGIN_STEPS
    begin = across.expand_as(loop.crossfade[0])
    return replace(loop, crossfade=torch.stack((begin, torch.full_like(begin, 4))))


def enlarged(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), pixels.shape[:2], strict=True))
    return np.ascontiguousarray(pixels[rows][:, columns])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with chromium() as browser:
        yield Stage(browser)


@pytest.fixture(scope="module")
def loops(photo: np.ndarray, water: np.ndarray) -> dict[str, Loop]:
    photo = textured(photo)
    odd, odd_water = photo[:61, :83], water[:61, :83]
    large, large_water = enlarged(photo, 261, 340), enlarged(water, 261, 340)
    return {
        "drift": loop_of(photo, water, 0.07),
        "several sub-cycles": loop_of(photo, crossed(water), 0.12),
        "odd sizes": loop_of(odd, odd_water, 0.4, margin=37),
        "swell": loop_of(photo, water, 0.2, swells=[2.0]),
        "a swell of two clocks": loop_of(photo, water, 0.2, swells=[2.0, 0.7]),
        "less than a second": loop_of(photo, water, 0.3, period=13),
        "a grid coarser than the photo": loop_of(large, large_water, 0.5),
        "everything moves": loop_of(photo, np.ones_like(water), 0.3),
        "what is coarse stands": loop_of(photo, water, 0.3, standing=True),
        "what is coarse stands, large": loop_of(large, large_water, 0.5, standing=True),
        "light stands": loop_of(odd, odd_water, 0.4, margin=37, lit=True),
        "clouds": dissolving(loop_of(photo, water, 0.07)),
        "out of step": loop_of(photo, np.ones_like(water), 0.9, period=90),
    }


CASES = (
    *("drift", "several sub-cycles", "odd sizes", "swell", "less than a second", "a grid coarser than the photo"),
    *("everything moves", "what is coarse stands", "what is coarse stands, large", "clouds", "out of step"),
    *("a swell of two clocks", "light stands"),
)


# --- frames


@pytest.mark.parametrize("case", CASES)
def test_frames_match_the_engine(stage: Stage, loops: dict[str, Loop], case: str) -> None:
    loop = loops[case]
    moves, photo = loop.moving.numpy() > 0, loop.photo.numpy()
    stage.load(packed(loop))
    period = stage.page.evaluate("player.period")
    for t in (1e-6, 0.21 * period, 0.5 * period, 0.87 * period):
        shown, expected = stage.frame(t), frame(loop, t).numpy()
        off = np.abs(shown.astype(int) - expected)[moves]
        assert off.mean() <= 0.2 and np.percentile(off, 99) <= 1 and off.max() <= 4
        assert np.array_equal(shown[~moves], photo[~moves])
    assert case != "out of step" or loop.displacement.stagger is not None
    assert (np.abs(expected.astype(int) - photo)[moves] > 2).mean() > 0.1  # otherwise the test would prove nothing


def test_frame_0_is_the_photo_and_repeats(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(packed(loops["several sub-cycles"]))
    for t in (0, 60, -60, 600):
        assert np.array_equal(stage.frame(t), loops["several sub-cycles"].photo.numpy())
    assert np.array_equal(stage.frame(7.5), stage.frame(-52.5))
    assert not np.array_equal(stage.frame(7.5), stage.frame(8))


def test_long_loops_store_fewer_knots(stage: Stage, photo: np.ndarray, water: np.ndarray) -> None:
    loop = loop_of(photo, water, 0.02, period=600)  # 151 knots
    stage.load(packed(loop))
    off = np.abs(stage.frame(217).astype(int) - frame(loop, 217).numpy())
    assert off.mean() < 0.2


# --- cloth


def flag_in(wind: Wind, scale: int = 1) -> Overlay:
    """The flag of tests/cloths.py, `scale` times as large."""
    photo, mask = (enlarged(x, 96 * scale, 128 * scale) for x in (flag_photo(), flag_mask()))
    return animate_cloth(rest_shape_of(photo, mask), STAND_INS, wind, cycles=2, period=60)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (180, 1), (30, 5)])
def test_cloth_matches_the_engine(stage: Stage, degrees: float, scale: int) -> None:
    cloth = flag_in(Wind(degrees, 1), scale)
    photo = cloth.photo.numpy()
    stage.load(pack(None, 60, FPS, overlays=[cloth]))
    for t in (0.4, 7.5, 22.3, 49):
        shown, expected = stage.frame(t), cloth.draw_over(cloth.photo, t).numpy()
        changed = (expected != photo).any(-1)
        off = np.abs(shown.astype(int) - expected)
        assert off[changed].mean() <= 0.2 and np.percentile(off[changed], 99) <= 1 and off.max() <= 4
        assert np.array_equal(shown[cloth.reach == 0], photo[cloth.reach == 0])
    assert np.abs(expected.astype(int) - photo)[changed].mean() > 3  # otherwise the test would prove nothing
    for t in (0, 60):
        assert np.array_equal(stage.frame(t), photo)


def flag_over_sky() -> tuple[Loop, Overlay]:
    cloth, sky = flag_in(Wind(0, 1)), np.zeros((96, 128), np.float32)
    sky[:14] = 1
    loop = loop_of(textured(flag_photo()), sky, 0.2)
    cloth = replace(
        cloth,
        photo=loop.photo,
        background=torch.where(
            (cloth.background != cloth.photo).any(-1, keepdim=True), cloth.background, loop.photo
        ),
    )
    return loop, cloth


def test_cloth_over_a_landscape_matches_the_engine(stage: Stage) -> None:
    loop, cloth = flag_over_sky()
    stage.load(pack(loop, 60, FPS, overlays=[cloth]))
    for t in (13.2, 41):
        under = frame(loop, t)
        shown, expected = stage.frame(t), cloth.draw_over(under, t).numpy()
        off = np.abs(shown.astype(int) - expected)
        assert off.mean() <= 0.2 and np.percentile(off, 99) <= 1 and off.max() <= 4
        assert (expected != under.numpy()).any() and (under != loop.photo).any()
    assert np.array_equal(stage.frame(0), loop.photo.numpy())


def test_plants_under_cloth_and_over_a_landscape_match_the_engine(stage: Stage) -> None:
    loop, cloth = flag_over_sky()
    moved = {"keyframes": cloth.keyframes.roll(8, 3), "matte": cloth.matte.roll(32, 1), "background": loop.photo}
    plants = replace(cloth, **moved, kind="plants", active=torch.ones_like(cloth.active), cycles=1, fine=True)
    stage.load(pack(loop, 60, FPS, overlays=[plants, cloth]))
    for t in (13.2, 41):
        under = plants.draw_over(frame(loop, t), t)
        shown, expected = stage.frame(t), cloth.draw_over(under, t).numpy()
        off = np.abs(shown.astype(int) - expected)
        assert off.mean() <= 0.2 and np.percentile(off, 99) <= 2 and off.max() <= 6
        assert (under != frame(loop, t)).any()
    assert np.array_equal(stage.frame(0), loop.photo.numpy())
    stage.load(pack(None, 60, FPS, overlays=[plants]))
    off = np.abs(stage.frame(22).astype(int) - plants.draw_over(loop.photo, 22).numpy())
    assert off.mean() <= 0.2 and off.max() <= 4
    assert stage.page.evaluate("player.maps.overlays.map(({kind}) => kind)") == ["plants"]


def test_another_wind_keeps_the_plate_and_a_landscape_may_follow(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(pack(None, 60, FPS, overlays=[flag_in(Wind(0, 1))]))
    stage.page.evaluate("window.before = player.maps")
    other = flag_in(Wind(180, 1))
    stage.load(pack(None, 60, FPS, overlays=[other]))
    off = np.abs(stage.frame(20).astype(int) - other.draw_over(other.photo, 20).numpy())
    assert off.max() <= 4
    stage.load(packed(loops["drift"]))
    assert np.array_equal(stage.frame(0), loops["drift"].photo.numpy())
    assert np.abs(stage.frame(20).astype(int) - frame(loops["drift"], 20).numpy()).mean() < 0.2


WIND = """content => {
  player.loadWind(Uint8Array.from(atob(content), letter => letter.charCodeAt(0)).buffer);
}"""


def turn(stage: Stage, cloth: Overlay) -> None:
    stage.page.evaluate(WIND, base64.b64encode(pack_wind(overlays=[cloth])).decode())


def test_the_cloth_of_a_loaded_pack_moves_in_another_wind(stage: Stage) -> None:
    loop, cloth = flag_over_sky()
    stage.load(pack(loop, 60, FPS, overlays=[cloth]))
    stage.frame(20)
    turned = flag_in(Wind(180, 0.7))
    other = replace(cloth, keyframes=turned.keyframes, active=turned.active)
    turn(stage, other)
    assert stage.page.evaluate("player.time") == 20, "the phase stays"
    for _ in range(2):
        for t in (20, 41):
            expected = other.draw_over(frame(loop, t), t).numpy()
            off = np.abs(stage.frame(t).astype(int) - expected)
            assert off.mean() <= 0.2 and np.percentile(off, 99) <= 1 and off.max() <= 4
        restore_context(stage)  # which forgets nothing
    mean = stage.page.evaluate(
        "(({grid, displacement}) => displacement[2 * (22 * grid.width + 40)])(player.maps.overlays[0])"
    )
    assert mean == pytest.approx(-float(other.keyframes[:, 0, 22, 40].mean()), abs=0.01) and mean < -0.2


def test_a_draft_of_another_wind_has_a_coarser_grid(stage: Stage) -> None:
    first = flag_in(Wind(0, 1))
    stage.load(pack(None, 60, FPS, overlays=[first], layers=torch.zeros(4, 96, 128)))
    rough = preview_cloth(rest_shape_of(flag_photo(), flag_mask()), STAND_INS, Wind(180, 1), first)
    turn(stage, rough)
    off = np.abs(stage.frame(20).astype(int) - rough.draw_over(rough.photo, 20).numpy())
    assert np.percentile(off, 99) <= 1 and off.max() <= 4
    grids = stage.page.evaluate("[player.maps.grid.cell, player.maps.overlays[0].grid.cell]")
    assert grids == [2, 4], "the layers' grid stays"


def test_a_wind_that_comes_while_a_pack_loads_turns_that_one(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(packed(loops["drift"]))
    first, other = flag_in(Wind(0, 1)), flag_in(Wind(180, 1))
    stage.packs |= {"next": pack(None, 60, FPS, overlays=[first]), "wind": pack_wind(overlays=[other])}
    stage.page.evaluate(
        """async () => {
          const [pack, wind] = await Promise.all(["next", "wind"].map(async name => (await fetch(name)).arrayBuffer()));
          const loading = player.load(pack);
          player.loadWind(wind);
          await loading;
        }"""
    )
    assert np.abs(stage.frame(20).astype(int) - other.draw_over(other.photo, 20).numpy()).max() <= 4


def test_a_landscape_and_its_plants_move_in_another_wind(stage: Stage) -> None:
    loop, cloth = flag_over_sky()
    plants = replace(cloth, kind="plants", fine=True)
    stage.load(pack(loop, 60, FPS, overlays=[plants]))
    stage.frame(20)
    other = flag_in(Wind(180, 0.7))
    turned = replace(plants, keyframes=other.keyframes, active=other.active)
    velocity = -loop.displacement.rates[0, 0]
    moved = loop.displacement
    back = replace(moved, positions=moved.positions.flip(1), rates=moved.rates.flip(1))
    wind = base64.b64encode(pack_wind(velocity, None, overlays=[turned])).decode()
    stage.page.evaluate(WIND, wind)
    for _ in range(2):
        expected = turned.draw_over(frame(replace(loop, displacement=back), 20), 20).numpy()
        assert np.abs(stage.frame(20).astype(int) - expected).mean() < 0.3
        restore_context(stage)  # which forgets nothing
    shown = np.array(stage.page.evaluate("[...player.maps.velocity]"), np.float32).reshape(*velocity.shape[1:], 2)
    assert np.abs(shown - velocity.permute(1, 2, 0).numpy()).max() < 1e-3


def test_a_wind_needs_what_it_moves(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(packed(loops["drift"]))
    flag = flag_in(Wind(0, 1))
    with pytest.raises(Exception, match="not of this loop"):
        turn(stage, flag)
    stage.load(pack(None, 60, FPS, overlays=[replace(flag, kind="plants")]))
    with pytest.raises(Exception, match="not of this loop"):
        turn(stage, flag)


def test_frames_can_be_few_and_another_wind_is_shown_at_once(stage: Stage) -> None:
    stage.load(pack(None, 60, FPS, overlays=[flag_in(Wind(0, 1))], layers=torch.zeros(4, 96, 128)))
    stage.packs["wind"] = pack_wind(overlays=[flag_in(Wind(180, 1))])
    drawn = stage.page.evaluate(
        """async () => {
          const wind = await (await fetch("wind")).arrayBuffer();
          const frames = async () => { for (let k = 0; k < 5; k++) await new Promise(requestAnimationFrame); };
          const counts = [];
          let count = 0;
          player.onframe = () => { count++; };
          player.interval = 1e6;
          player.play();
          for (const act of [() => {}, () => {}, () => player.loadWind(wind), () => { player.interval = 0; }]) {
            act();
            await frames();
            counts.push(count);
          }
          player.pause();
          player.onframe = null;
          return counts;
        }"""
    )
    assert drawn[:3] == [1, 1, 2], "the first frame, then only the first in the other wind"
    assert drawn[3] > 4


def test_maps_of_cloth(stage: Stage) -> None:
    stage.load(pack(None, 60, FPS, overlays=[flag_in(Wind(0, 1))], layers=torch.zeros(4, 96, 128)))
    maps = stage.page.evaluate(
        "(({grid, layers, moving, velocity}) =>"
        " ({grid, cloth: [...layers.cloth], moving, still: velocity.every(v => v === 0)}))(player.maps)"
    )
    assert maps["grid"] == {"width": 64, "height": 48, "cell": 2, "margin": 0}
    assert np.array(maps["cloth"]).reshape(48, 64)[22, 34] == 255 and maps["moving"] is None and maps["still"]


# --- half the size


@pytest.mark.parametrize(
    ("case", "levels"),
    [
        *(("cloth", 0.5), ("a cell a pixel", 2.5), ("cloth over a landscape", 4)),
        *(("drift", 6), ("a grid coarser than the photo", 6), ("style", 8)),
    ],
)
def test_half_the_size_shows_the_same(stage: Stage, loops: dict[str, Loop], case: str, levels: float) -> None:
    """As the mean of four pixels, of which a landscape's is not exactly that: its finest level is left out."""
    if case == "cloth":
        stage.load(pack(None, 60, FPS, overlays=[flag_in(Wind(30, 1), 5)]))
    elif case == "a cell a pixel":  # as small photos have of plants
        flag = flag_in(Wind(30, 1))
        keyframes = torch.nn.functional.interpolate(flag.keyframes, flag.matte.shape, mode="bilinear")
        stage.load(pack(None, 60, FPS, overlays=[replace(flag, kind="plants", keyframes=keyframes, cell=1)]))
    elif case == "cloth over a landscape":
        loop, cloth = flag_over_sky()
        stage.load(pack(loop, 60, FPS, overlays=[cloth]))
    else:
        loop = loops["drift" if case == "style" else case]
        stage.load(packed(loop, appearance_of(loop.photo, loop.moving) if case == "style" else None))
    for t in (0, 22.3, 41):
        whole = stage.frame(t)
        height, width = (side // 2 for side in whole.shape[:2])
        half, now = (stage.drawn_by(f"player.halfSize = {half}") for half in ("true", "false"))
        assert np.array_equal(now, whole), "at once, not only with the next frame"
        assert half.shape == (height, width, 3)
        means = whole[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
        assert np.abs(half - means).mean() < levels


def test_at_half_the_size_another_wind_is_integrated_roughly(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["drift"]
    stage.load(packed(loop))
    wind = base64.b64encode(pack_wind(-loop.displacement.rates[0, 0])).decode()
    frames = []
    for first, then in ((WIND, "player.halfSize = true"), ("player.halfSize = true", WIND)):
        for act in (first, then):
            stage.page.evaluate(act, wind)
        frames.append([stage.frame(t).astype(int) for t in (5, 20, 41)])
        stage.page.evaluate("player.halfSize = false")
    exact, rough = np.array(frames)
    assert np.abs(exact - rough).mean() < 0.3 and np.abs(exact - rough).max() < 30 and not np.array_equal(exact, rough)


def test_half_the_size_is_kept_for_new_packs_and_winds(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.page.evaluate("player.halfSize = true")
    stage.load(packed(loops["odd sizes"]))
    assert stage.frame(20).shape == (30, 41, 3)
    assert stage.page.evaluate("[player.width, player.height]") == [83, 61], "of the loop"
    stage.load(pack(None, 60, FPS, overlays=[flag_in(Wind(0, 1))]))
    before = stage.frame(20)
    turn(stage, flag_in(Wind(180, 1)))
    assert np.abs(stage.frame(20).astype(int) - before).mean() > 1
    stage.page.evaluate("player.halfSize = false")


# --- styles


def assert_shows(stage: Stage, t: float, expected: np.ndarray, few: float = 1e-3) -> None:
    off = np.abs(stage.frame(t).astype(int) - expected)
    assert off.mean() <= 0.2 and np.percentile(off, 99) <= 2 and (off > 4).mean() < few  # contrast is raised


@pytest.mark.parametrize(("strength", "drift"), [(1.0, False), (0.6, False), (1.0, True)])
@pytest.mark.parametrize("case", ["drift", "odd sizes", "a grid coarser than the photo"])
def test_styles_match_the_engine(stage: Stage, loops: dict[str, Loop], case: str, strength: float, drift: bool) -> None:
    loop = loops[case]
    appearance = appearance_of(loop.photo, loop.moving, strength=strength, drift=drift)
    stage.load(packed(loop, appearance))
    for t in (1e-6, 12.5, 30, 49):
        assert_shows(stage, t, appearance.show(frame(loop, t), t / 60).numpy())
    first = appearance.show(loop.photo, 0).numpy()
    assert np.abs(stage.frame(0).astype(int) - first).max() <= (0 if drift else 1)
    middle = appearance.show(frame(loop, 30), 0.5).numpy()
    assert np.abs(middle.astype(int) - frame(loop, 30).numpy()).mean() > 10  # otherwise the test would prove nothing
    assert (middle == 0).mean() > 0.01 or (middle == 255).mean() > 0.01


# --- weather


@pytest.mark.parametrize("kind", WEATHERS)
@pytest.mark.parametrize("case", ["drift", "odd sizes", "a grid coarser than the photo"])
def test_weather_matches_the_engine(stage: Stage, loops: dict[str, Loop], case: str, kind: str) -> None:
    loop = loops[case]
    weather = weather_of(kind, loop.photo)
    stage.load(packed(loop, weather=weather))
    for t in (0, 12.5, 30, 59):
        dry = frame(loop, t)
        expected = weather.draw_over_(dry[None].clone(), [t], [0.0])[0].numpy()
        assert_shows(stage, t, expected, 3e-3)  # drops are multiplied in half precision
        assert (expected != dry.numpy()).mean() > 0.1  # otherwise the test would prove nothing
    assert np.array_equal(stage.frame(60), stage.frame(0))


def test_weather_takes_the_light_of_a_drifting_style(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["drift"]
    appearance, weather = appearance_of(loop.photo, loop.moving, drift=True), weather_of("fog", loop.photo)
    stage.load(packed(loop, appearance, weather))
    for t in (0, 30, 45):
        share = appearance.share(t / 60)
        shown = weather.draw_over_(appearance.show(frame(loop, t), t / 60)[None], [t], [share])[0]
        assert_shows(stage, t, shown.numpy())


def test_weather_alone_moves_before_a_photo(stage: Stage, photo: np.ndarray) -> None:
    weather = weather_of("snow", torch.from_numpy(photo))
    stage.load(pack(None, 60, FPS, weather=weather, still=photo))
    for t in (0, 20.5):
        expected = weather.draw_over_(torch.from_numpy(photo)[None].clone(), [t], [0.0])[0].numpy()
        assert_shows(stage, t, expected, 3e-3)


def test_weather_has_the_player_s_other_size(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["drift"]
    weather = weather_of("rain", loop.photo)
    stage.load(packed(loop, weather=weather))
    whole = stage.frame(20).astype(int)
    stage.page.evaluate("player.halfSize = true")
    half = stage.frame(20).astype(int)
    stage.page.evaluate("player.halfSize = false")
    shrunk = whole[: half.shape[0] * 2, : half.shape[1] * 2].reshape(half.shape[0], 2, half.shape[1], 2, 3).mean((1, 3))
    assert np.abs(half - shrunk).mean() < 5


# --- transparent photos


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("over", ["nothing", "style", "weather"])
def test_one_colour_lies_under_what_is_transparent(
    stage: Stage, loops: dict[str, Loop], over: str, half: bool
) -> None:
    """As in a file that keeps no transparency: neither a style nor weather is seen there."""
    loop = loops["drift"]
    alpha = np.full(loop.moving.shape, 255, np.uint8)
    alpha[:20], alpha[20] = 0, 128
    appearance = appearance_of(loop.photo, loop.moving) if over == "style" else None
    weather = weather_of("rain", loop.photo) if over == "weather" else None
    stage.load(pack(loop, 60, FPS, appearance=appearance, weather=weather, alpha=alpha))
    stage.page.evaluate(f"player.halfSize = {str(half).lower()}")
    seen = stage.frame(12.5)
    stage.page.evaluate("player.halfSize = false")
    assert (seen[: 10 if half else 20] == UNDER).all()
    if not half:
        made = frame(loop, 12.5)
        made = made if appearance is None else appearance.show(made, 12.5 / 60)
        made = made if weather is None else weather.draw_over_(made[None].clone(), [12.5], [0.0])[0]
        assert_shows(stage, 12.5, flattened(made.numpy(), alpha), 3e-3)


# --- cloth in a style


@pytest.mark.parametrize("drift", [False, True])
def test_cloth_in_a_style_matches_the_engine(stage: Stage, drift: bool) -> None:
    cloth = flag_in(Wind(0, 1))
    appearance = appearance_of(cloth.photo, cloth.reach, drift=drift)
    stage.load(pack(None, 60, FPS, overlays=[cloth], appearance=appearance))
    for t in (0, 7.5, 22.3, 49):
        assert_shows(stage, t, appearance.show(cloth.draw_over(cloth.photo, t), t / 60).numpy())


def test_cloth_over_a_landscape_in_a_style_matches_the_engine(stage: Stage) -> None:
    loop, cloth = flag_over_sky()
    appearance = appearance_of(loop.photo, torch.maximum(loop.moving, cloth.reach))
    stage.load(pack(loop, 60, FPS, overlays=[cloth], appearance=appearance))
    for t in (0, 13.2, 41):
        assert_shows(stage, t, appearance.show(cloth.draw_over(frame(loop, t), t), t / 60).numpy())


def test_the_strength_of_a_style_can_be_set(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["several sub-cycles"]
    stage.load(packed(loop))
    plain = [stage.frame(t) for t in (0, 20)]
    for drift in (False, True):
        appearance = appearance_of(loop.photo, loop.moving, strength=0.8, drift=drift)
        stage.load(packed(loop, appearance))
        own = stage.frame(20)
        stage.page.evaluate("player.styleStrength = 0")
        assert all(np.array_equal(stage.frame(t), frame) for t, frame in zip((0, 20), plain, strict=True))
        stage.page.evaluate("player.styleStrength = 0.3")
        assert_shows(stage, 20, replace(appearance, strength=0.3).show(frame(loop, 20), 20 / 60).numpy())
        assert stage.page.evaluate("player.styleStrength") == 0.3
        stage.page.evaluate("player.styleStrength = null")
        assert np.array_equal(stage.frame(20), own) and not np.array_equal(own, plain[1])


def test_a_new_strength_is_shown_at_once_and_kept_for_new_packs(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["drift"]
    stage.load(packed(loop, appearance_of(loop.photo, loop.moving)))
    stage.frame(20)
    drawn = stage.page.evaluate(
        """() => {
          const drawn = [];
          player.onframe = t => drawn.push(t);
          player.styleStrength = 0;
          player.play();
          player.styleStrength = 0.5;  // the next frame has it
          player.pause();
          player.styleStrength = 0;
          player.onframe = null;
          return drawn;
        }"""
    )
    assert drawn == [20, 20]
    stage.load(packed(loop, appearance_of(loop.photo, loop.moving, strength=0.5)))
    shown = stage.frame(20)
    stage.page.evaluate("player.styleStrength = null")
    stage.load(packed(loop))
    assert np.array_equal(stage.frame(20), shown)


# --- what it does beside


def test_a_new_pack_continues_at_the_same_phase_and_keeps_the_plate(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["drift"]
    stage.load(packed(loop))
    stage.frame(30)
    halved = replace(loop, displacement=replace(loop.displacement, period=30))  # type: ignore[type-var]
    stage.page.evaluate(
        """() => {
          const plain = createImageBitmap;
          Object.assign(window, {pictures: 0, createImageBitmap: (...options) => (pictures++, plain(...options))});
        }"""
    )
    stage.load(packed(halved))
    assert stage.page.evaluate("[player.time, player.period, pictures]") == [15, 30, 0]
    assert np.abs(stage.frame(15).astype(int) - frame(halved, 15).numpy()).mean() < 0.2
    stage.load(packed(loops["everything moves"]))
    assert stage.page.evaluate("[player.time, player.period, pictures]") == [30, 60, 2]


@pytest.mark.parametrize("rate", [1, 0.5])
def test_it_plays_in_real_time_or_slower_and_pauses(stage: Stage, loops: dict[str, Loop], rate: float) -> None:
    """Time is that of the display's frames, here 60 a second."""
    stage.load(packed(loops["drift"]))
    seen = stage.page.evaluate(
        """async rate => {
          const seen = [], nextFrame = window.requestAnimationFrame.bind(window);
          let clock = 0;
          window.requestAnimationFrame = callback => nextFrame(() => callback(clock += 1000 / 60));
          player.seek(59.5);
          player.rate = rate;
          player.onframe = t => seen.push(t);
          player.play();
          const playing = player.playing;
          while (seen.length < 6) await new Promise(nextFrame);
          player.pause();
          const count = seen.length;
          for (let k = 0; k < 3; k++) await new Promise(nextFrame);
          player.onframe = null;
          player.rate = 1;
          window.requestAnimationFrame = nextFrame;
          return {seen, playing, still: seen.length === count && !player.playing};
        }""",
        rate,
    )
    assert seen["playing"] and seen["still"]
    assert np.diff(seen["seen"]) % 60 == pytest.approx(rate * FPS / 60)
    assert min(seen["seen"]) < 59  # it wrapped around


def restore_context(stage: Stage) -> None:
    """Takes the WebGL context away and gives it back."""
    stage.page.evaluate(
        """async () => {
          const lost = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
          const happened = name => new Promise(done => canvas.addEventListener(name, done, {once: true}));
          const gone = happened("webglcontextlost"), back = happened("webglcontextrestored");
          lost.loseContext();
          await gone;
          player.render(25);  // nothing to draw into: no error either
          await new Promise(done => setTimeout(done));
          const drawn = new Promise(done => { player.onframe = done; });
          lost.restoreContext();
          await back;
          await drawn;
          player.onframe = null;
        }"""
    )


def test_a_lost_context_is_restored(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(packed(loops["drift"]))
    before = stage.frame(20)
    restore_context(stage)
    assert np.array_equal(stage.frame(20), before)


def test_maps_for_overlays(stage: Stage, loops: dict[str, Loop]) -> None:
    loop = loops["odd sizes"]
    layers = torch.zeros(4, *loop.moving.shape)
    layers[1] = loop.moving
    stage.load(pack(loop, 60, FPS, layers=layers))
    maps = stage.page.evaluate(
        """() => {
          const {grid, velocity, layers, moving} = player.maps;
          return {grid, velocity: [...velocity], layers: Object.fromEntries(
            Object.entries(layers).map(([name, map]) => [name, [...map]])), moving: [...moving]};
        }"""
    )
    gh, gw = loop.displacement.sub_cycle.shape
    assert maps["grid"] == {"width": gw, "height": gh, "cell": 1, "margin": 37}
    velocity = np.array(maps["velocity"]).reshape(gh, gw, 2)
    assert np.abs(velocity - loop.displacement.rates[0, 0].permute(1, 2, 0).numpy()).max() < 1e-4
    assert set(maps["layers"]) == {"sky", "water", "falls", "smoke"} and max(maps["layers"]["sky"]) == 0
    assert np.array(maps["layers"]["water"]).reshape(gh, gw)[37 + 55, 37 + 40] == 255
    assert np.array_equal(np.array(maps["moving"]).reshape(61, 83) > 0, loop.moving.numpy() > 0)


# --- what it refuses

OTHER = base64.b64encode(save({}, {"stylecine": json.dumps({"format": FORMAT + 1})})).decode()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("player.load(new ArrayBuffer(4))", "not a loop made by stylecine"),
        ("player.load(new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 123, 125]).buffer)", "not a loop made by stylecine"),
        (f"player.load(Uint8Array.from(atob('{OTHER}'), letter => letter.charCodeAt(0)).buffer)", "another version"),
        (
            "(() => { const taken = document.createElement('canvas'); taken.getContext('2d');"
            " return Player.create(taken); })()",
            "no WebGL2",
        ),
    ],
)
def test_errors_are_one_plain_sentence(stage: Stage, call: str, says: str) -> None:
    name, message = stage.page.evaluate(f"{call}.then(() => null, error => [error.name, error.message])")
    assert name == "PlayerError" and says in message and message.endswith(".")


def test_a_refused_pack_leaves_the_loop_unchanged(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.load(packed(loops["drift"]))
    before = stage.frame(9)
    stage.page.evaluate("player.load(new ArrayBuffer(4)).catch(() => {})")
    assert np.array_equal(stage.frame(9), before)


@pytest.mark.parametrize("same_plate", [True, False])
def test_a_pack_for_which_the_graphics_memory_is_too_little_leaves_the_loop_unchanged(
    stage: Stage, loops: dict[str, Loop], same_plate: bool
) -> None:
    stage.load(packed(loops["swell"]))
    before = stage.frame(9)
    stage.packs["pack"] = packed(loops["drift" if same_plate else "odd sizes"])
    message = stage.page.evaluate(
        """async () => {
          const gl = WebGL2RenderingContext.prototype, {checkFramebufferStatus} = gl;
          const pack = await (await fetch("pack")).arrayBuffer();
          gl.checkFramebufferStatus = () => gl.FRAMEBUFFER_UNSUPPORTED;
          const message = await player.load(pack).then(() => null, error => error.message);
          gl.checkFramebufferStatus = checkFramebufferStatus;
          return message;
        }"""
    )
    assert message is not None and "too little graphics memory" in message
    assert np.array_equal(stage.frame(9), before)


def test_a_disposed_player_draws_nothing(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.packs["pack"] = packed(loops["drift"])
    drawn = stage.page.evaluate(
        """async () => {
          const other = await Player.create(document.createElement("canvas"));
          let drawn = 0;
          await other.load(await (await fetch("pack")).arrayBuffer());
          other.onframe = () => drawn++;
          other.render(1);
          other.dispose();
          other.render(2);
          return drawn;
        }"""
    )
    assert drawn == 1


def test_warming_up_compiles_all_programs_of_a_landscape(stage: Stage, loops: dict[str, Loop]) -> None:
    stage.packs["pack"] = packed(loops["swell"])
    tiny = (PLAYER.parent / "server/studio/shader-warmup.js").read_text(encoding="utf-8")
    error, warmed_up, more = stage.page.evaluate(
        """async source => {
          const {warmupLoop} = await import("data:text/javascript," + encodeURIComponent(source));
          const canvas = document.createElement("canvas"), other = await Player.create(canvas);
          const gl = canvas.getContext("webgl2"), use = gl.useProgram.bind(gl), used = new Set();
          gl.useProgram = program => { used.add(program); use(program); };
          await other.warmUp(await warmupLoop());
          const error = gl.getError(), warmedUp = used.size;
          await other.load(await (await fetch("pack")).arrayBuffer());
          other.render(1);
          other.dispose();
          return [error, warmedUp, used.size - warmedUp];
        }""",
        tiny,
    )
    assert (error, more) == (0, 1) and warmed_up > 5  # the remaining one draws the photo, for frame 0
