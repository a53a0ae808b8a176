"""A preset of the service: other defaults for an animation, as its scene allows."""

import asyncio
from typing import Any

import pytest

from stylecine.server.animations import _chosen
from stylecine.server.schemas import Animation
from tests.server.conftest import Served


class Scenes:
    """A service that has one scene, of a size."""

    def __init__(self, width: int, height: int) -> None:
        self.row = {"width": width, "height": height}

    async def ready_scene(self, id: str) -> dict[str, int]:
        return self.row


def chosen(scene: tuple[int, int], **asked: Any) -> dict[str, Any]:
    service: Any = Scenes(*scene)
    return asyncio.run(_chosen(service, Animation(scene="s", **asked)))


@pytest.mark.parametrize(
    ("scene", "preset", "size"),
    [((3000, 2000), "story", 1920), ((1536, 1024), "story", None), ((3000, 2000), "post", 1350)],
)
def test_the_picture_is_as_large_as_the_preset_s(scene: tuple[int, int], preset: str, size: int | None) -> None:
    made = chosen(scene, preset=preset)
    shape = {"story": "1080:1920", "post": "1080:1350"}[preset]
    assert (made["size"], made["crop"], made["silence"], made["codec"]) == (size, shape, True, "h264")
    assert (made["fps"], made["seconds"]) == (30, 5)


def test_what_is_given_is_kept() -> None:
    made = chosen((3000, 2000), preset="story", seconds=4.0, crop="9:16@0.2,0.5", repeat=2)
    assert (made["seconds"], made["crop"], made["repeat"], made["duration"]) == (4, "9:16@0.2,0.5", 2, None)


def test_other_formats_get_the_shape_alone() -> None:
    made = chosen((3000, 2000), preset="post", format="gif")
    assert (made["crop"], made["duration"], made["silence"], made["codec"]) == ("1080:1350", None, False, None)


def test_an_unknown_preset_is_refused(quick: Served) -> None:
    scene = quick.scene()["id"]
    response = quick.client.post("/v1/animations", json={"scene": scene, "preset": "poster"})
    assert response.status_code == 422
    job = quick.finished(quick.animation(scene, preset="wallpaper", seconds=0.1)["id"])
    assert job["state"] == "done"
