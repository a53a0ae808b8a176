"""Small photos and a small model, so that photo to video takes a fraction of a second; which tests are slow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.browser import CHROMIUM, chromium
from benchmarks.small_model import write_small_model
from stylecine import Animator, Scene
from stylecine.engine import animator
from stylecine.output import gif
from stylecine.perception import see

# What takes long for pictures of any size: as it is shipped, and in most tests.
QUICK = {
    (see, "SHORT_SIDE"): (see.SHORT_SIDE, 96),
    (animator, "QUICK"): (animator.QUICK, 1.0),  # the eye needs 64 pixels
    (gif, "CELL"): (gif.CELL, 16),
}
HEIGHT, WIDTH = 72, 96
SHORE = 40  # row below which the small photo shows water
TESTS = Path(__file__).parent
LONGEST = (  # files of quick tests that take about ten seconds or more
    "engine/test_resolve.py",
    "batch/test_tasks.py",
    "test_cli.py",
    "quality/test_measures.py",
    "engine/test_pipeline.py",
    "server/test_survival.py",
    "cloth/test_animate.py",
    "output/test_video.py",
    "engine/test_scene.py",
    "server/test_worker.py",
    "picture/test_inversion.py",
    "machine/test_interrupts.py",
    "batch/test_store.py",
    "output/test_gif.py",
    "machine/test_threads.py",
    "engine/test_cinemagraph.py",
)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Browser tests are slow. With xdist one process runs those of the studio, one all others in browsers, and one each
    file, whose fixtures are shared."""
    for item in items:
        browser = item.get_closest_marker("browser")
        if browser:
            item.add_marker(pytest.mark.slow)
        shared = "studio" if item.path.name.startswith("test_studio") else "browser"
        item.add_marker(pytest.mark.xdist_group(shared if browser else str(item.path)))
    yield  # -m selects
    # The longest groups come first, so that no process is left alone with one of them at the end.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (not item.get_closest_marker("browser"), item.path not in slow, rank(item.path)))


def rank(path: Path) -> int:
    """The place of a file of tests among those that take long."""
    name = path.relative_to(TESTS).as_posix()
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread is faster for small images, and makes results independent of the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _quick() -> Iterator[None]:
    """The eye sees small copies, and GIFs are dithered more coarsely."""
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), (_, quick) in QUICK.items():
            patch.setattr(module, name, quick)
        yield


@pytest.fixture
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what would be tested in vain otherwise."""
    for (module, name), (usual, _) in QUICK.items():
        monkeypatch.setattr(module, name, usual)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for each module: Playwright cannot be started again while it runs."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    pytest.importorskip("playwright", reason="playwright, which drives the browser, is not installed")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """uint8 [72,96,3]: a smooth sky over rippled water, the shore in row 40."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    ripples = sum(
        np.sin(2 * np.pi * (rng.uniform(0.02, 0.1) * x + rng.uniform(0.03, 0.12) * y) + rng.uniform(0, 6))
        for _ in range(12)
    )
    sky = np.stack([110 + y, 150 + y / 2, 220 - y / 3], axis=-1)
    water = np.stack([40 + 8 * ripples, 90 + 9 * ripples, 110 + 9 * ripples], axis=-1)
    return np.where((y >= SHORE)[..., None], water, sky).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def water() -> np.ndarray:
    """bool [72,96]: where the small photo shows water."""
    return np.repeat(np.arange(HEIGHT)[:, None] >= SHORE, WIDTH, axis=1)


@pytest.fixture(scope="session")
def drift() -> np.ndarray:
    """float32 [2,36,48], half the photo's grid: half a pixel of the photo per 1/30 s to the right."""
    motion = np.zeros((2, HEIGHT // 2, WIDTH // 2), np.float32)
    motion[0] = 0.25
    return motion


@pytest.fixture
def photo_file(photo: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def mask_file(water: np.ndarray, tmp_path: Path) -> Path:
    Image.fromarray(np.uint8(water) * 255).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.fixture
def motion_file(drift: np.ndarray, tmp_path: Path) -> Path:
    np.save(tmp_path / "motion.npy", drift)
    return tmp_path / "motion.npy"


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model with random weights: it knows nothing, but is read and run like the default one."""
    return write_small_model(tmp_path_factory.mktemp("small-model"))


@pytest.fixture(scope="session")
def animator(small_model: Path) -> Animator:
    return Animator.from_pretrained(small_model, "cpu")


@pytest.fixture(scope="session")
def scene(animator: Animator, photo: np.ndarray) -> Scene:
    """The small photo, inverted."""
    return animator.invert(photo)
