"""A service whose workers are actors on a Ray cluster: what quick_worker.py does, or the real ones' work."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stylecine.machine.threads import cores
from stylecine.picture.photo import encode_png
from tests.ray_cluster import address as address
from tests.ray_cluster import on_loopback as on_loopback
from tests.ray_cluster import processes_at
from tests.server.conftest import Served, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]


@pytest.fixture(scope="module", autouse=True)
def _quick_workers(on_loopback: pytest.MonkeyPatch) -> None:
    """The nodes find quick_worker.py."""
    here = Path(__file__).parent
    on_loopback.setenv("PYTHONPATH", os.pathsep.join((str(here.parents[1]), str(here))))


@pytest.fixture(scope="module")
def served(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("ray") / "data", ray=address).ready()
    yield served
    assert served.end() == 0
    wait_until(lambda: not actors())


def actors() -> list[int]:
    """Their processes."""
    return processes_at("_Actor", os.getpid())


def kill_actors() -> None:
    for process in actors():
        os.kill(process, signal.SIGKILL)


def at_work(served: Served, animation: str) -> bool:
    return int(served.client.get(f"/v1/animations/{animation}").json()["progress"]["done"]) > 2


def test_accepted_work_survives_kill_9_and_is_what_a_local_worker_makes(
    address: str, serve: Callable[..., Served], small_sea: Path, small_model: Path, tmp_path: Path
) -> None:
    """It comes first: the cluster has no room for a second service."""
    options = {"format": "gif", "seconds": 0.5, "fps": 12}
    there = {"data": tmp_path / "there", "ray": address, "quick": False, "model": str(small_model)}
    served = serve(**there)
    animation = served.animation(served.scene(small_sea.read_bytes())["id"], **options)["id"]
    served.end(signal.SIGKILL)
    wait_until(lambda: not actors())
    served = serve(**there)
    assert served.finished(animation)["state"] == "done"
    result = served.client.get(f"/v1/animations/{animation}/result").content

    workers = 2 * cores()  # so that they have one thread each, as actors have: results depend on their number
    served = serve(data=tmp_path / "here", quick=False, model=str(small_model), workers=workers)
    animation = served.animation(served.scene(small_sea.read_bytes())["id"], **options)["id"]
    assert served.finished(animation)["state"] == "done"
    assert served.client.get(f"/v1/animations/{animation}/result").content == result


def test_files_travel_to_the_actor_and_back(served: Served) -> None:
    photo = encode_png(np.zeros((2, 3, 3), np.uint8))
    scene = served.scene(photo)["id"]
    animation = served.animation(scene)["id"]
    assert served.finished(animation)["state"] == "done"
    assert served.client.get(f"/v1/animations/{animation}/result").content == bytes(range(250)) * 4
    assert served.client.get(f"/v1/scenes/{scene}/photo").content == photo
    assert served.files() == {f"{scene}.cine", f"{animation}.mp4"}


def test_errors_name_no_path_of_the_node(served: Served) -> None:
    response = served.client.post("/v1/scenes", content=b"bad")
    assert (response.status_code, response.json()["detail"]) == (422, "The photo is bad; give a better one.")


def test_progress_arrives_and_an_animation_can_be_cancelled(served: Served) -> None:
    animation = served.animation(served.scene()["id"], seconds=50)["id"]
    wait_until(lambda: at_work(served, animation))
    response = served.client.delete(f"/v1/animations/{animation}")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert animation not in "".join(served.files())


def test_a_job_outlives_its_actor(served: Served) -> None:
    animation = served.animation(served.scene()["id"], seconds=20)["id"]
    wait_until(lambda: at_work(served, animation))
    kill_actors()
    assert served.finished(animation)["state"] == "done"


def test_an_actor_that_dies_between_two_jobs_is_replaced(served: Served) -> None:
    kill_actors()
    wait_until(lambda: len(actors()) == 2)
    assert served.scene()["state"] == "ready"


def test_a_job_that_killed_two_actors_is_not_tried_again(served: Served) -> None:
    response = served.client.post("/v1/scenes", content=b"dies", params={"wait": 60})
    assert response.status_code == 500 and "2 times" in response.json()["detail"]


def test_a_missing_cluster_is_reported(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", ray="127.0.0.1:1")
    wait_until(lambda: "log says why" in served.client.get("/ready").text)
    response = served.client.post("/v1/scenes", content=b"a photo")
    assert response.status_code == 503 and "There is no Ray cluster at '127.0.0.1:1'" in response.json()["detail"]
    assert served.end() == 0
