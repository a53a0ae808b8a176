"""/v1/animations: jobs are accepted once, report progress, are cancelled, and their results are read in parts."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.conftest import RANGES, Served, wait_until

RESULT = bytes(range(250)) * 4  # of a quick worker


@pytest.fixture(scope="session")
def scene(quick: Served) -> str:
    return str(quick.scene(name="lake.jpg")["id"])


@pytest.fixture(scope="session")
def done(quick: Served, scene: str) -> dict[str, Any]:
    return quick.finished(quick.animation(scene, seconds=0.2)["id"])


def events(served: Served, job: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a job until the stream ends."""
    received = []
    with served.client.stream("GET", f"/v1/animations/{job}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for block in response.read().decode().strip().split("\n\n"):
            name, data = block.split("\n")
            received.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return received


def test_a_job_is_accepted_and_done(quick: Served, scene: str) -> None:
    response = quick.client.post("/v1/animations", json={"scene": scene, "seconds": 3})
    job = response.json()
    assert response.status_code == 202 and f"/v1/{response.headers['location']}" == job["links"]["self"]
    assert job["state"] in ("queued", "running") and job["bytes"] is None
    early = quick.client.get(job["links"]["result"])
    assert early.status_code == 409 and early.json()["detail"].startswith("There is no result")
    job = quick.finished(job["id"])
    assert (job["state"], job["bytes"], job["progress"]["share"]) == ("done", 1000, 1)
    assert job["created"] <= job["started"] <= job["finished"] < job["expires"]
    assert quick.client.get(job["links"]["result"]).content == RESULT
    assert quick.client.delete(job["links"]["self"]).status_code == 204
    assert quick.client.get(job["links"]["result"]).status_code == 404
    assert f"{job['id']}.mp4" not in quick.files()


@pytest.mark.parametrize("options", [{"sound": True}, {"format": "wav"}, {"format": "wav", "duration": "9s"}], ids=str)
def test_a_sound_is_made_on_request(quick: Served, scene: str, options: dict[str, Any]) -> None:
    job = quick.finished(quick.animation(scene, seconds=3, **options)["id"])
    assert job["state"] == "done"
    kind = quick.client.get(job["links"]["result"]).headers["content-type"]
    assert kind == ("audio/wav" if options.get("format") else "video/mp4")


def test_progress_is_reported_during_the_work(quick: Served, scene: str) -> None:
    received = events(quick, quick.animation(scene, seconds=5)["id"])
    shares = [job["progress"]["share"] for _, job in received]
    assert shares == sorted(shares) and len(set(shares)) > 2 and shares[-1] == 1
    assert {name for name, _ in received[:-1]} == {"progress"} and received[-1][0] == "done"
    assert received[-1][1]["state"] == "done"


def test_the_same_key_is_the_same_job(quick: Served, scene: str) -> None:
    def ask(seconds: float, key: str) -> Any:
        headers = {"Idempotency-Key": key}
        return quick.client.post("/v1/animations", json={"scene": scene, "seconds": seconds}, headers=headers)

    responses: list[Any] = []
    threads = [threading.Thread(target=lambda: responses.append(ask(0.2, "a-key"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["id"] for response in responses}) == 1
    assert quick.finished(responses[0].json()["id"])["state"] == "done"
    assert ask(0.2, "a-key").json()["state"] == "done"
    other = ask(0.3, "a-key")
    assert other.status_code == 422 and "new key" in other.json()["detail"]


def test_a_running_and_a_queued_job_are_cancelled(quick: Served, scene: str) -> None:
    running = quick.animation(scene, seconds=50)["id"]
    wait_until(lambda: quick.client.get(f"/v1/animations/{running}").json()["state"] == "running")
    queued = quick.animation(scene, seconds=50)["id"]
    for job in (queued, running):
        response = quick.client.delete(f"/v1/animations/{job}")
        assert (response.status_code, response.json()["state"]) == (200, "cancelled")
        assert response.json()["progress"] == {"stage": "cancelled", "done": 0, "total": 1, "share": 0}
        assert [name for name, _ in events(quick, job)] == ["cancelled"]
    assert not [name for name in quick.files() if running in name]
    assert quick.finished(quick.animation(scene, seconds=0.1)["id"])["state"] == "done"


def test_deleting_a_scene_cancels_its_jobs(quick: Served) -> None:
    scene = quick.scene()["id"]
    jobs = [quick.animation(scene, seconds=50)["id"] for _ in range(2)]
    wait_until(lambda: quick.client.get(f"/v1/animations/{jobs[0]}").json()["state"] == "running")
    assert quick.client.delete(f"/v1/scenes/{scene}").status_code == 204
    assert [quick.client.get(f"/v1/animations/{job}").json()["state"] for job in jobs] == ["cancelled"] * 2
    assert not [name for name in quick.files() if scene in name]


@pytest.mark.parametrize(("ranges", "status", "begin", "end"), RANGES)
def test_a_result_is_read_in_parts(
    quick: Served, done: dict[str, Any], ranges: str, status: int, begin: int, end: int
) -> None:
    response = quick.client.get(done["links"]["result"], headers={"Range": ranges})
    assert (response.status_code, response.content) == (status, RESULT[begin:end])
    if status == 206:
        assert response.headers["content-range"] == f"bytes {begin}-{end - 1}/1000"


@pytest.mark.parametrize("ranges", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_past_the_end_is_refused(quick: Served, done: dict[str, Any], ranges: str) -> None:
    response = quick.client.get(done["links"]["result"], headers={"Range": ranges})
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */1000")
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unchanged_result_is_not_sent_again(quick: Served, done: dict[str, Any]) -> None:
    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return quick.client.get(done["links"]["result"], headers=named).status_code

    tag = quick.client.head(done["links"]["result"]).headers["etag"]
    assert status(If_None_Match=tag) == status(If_None_Match="*") == status(If_None_Match=f'"other", W/{tag}') == 304
    assert status(If_None_Match='"other"') == 200
    assert status(Range="bytes=5000-", If_Range=tag) == 416 and status(Range="bytes=0-9", If_Range=tag) == 206
    assert status(Range="bytes=5000-", If_Range='"old"') == 200, "its part is of another file, so it gets all"


def test_head_responds_like_get_without_a_body(quick: Served, done: dict[str, Any]) -> None:
    for path in (done["links"]["self"], done["links"]["result"], done["links"]["events"], "/health", "/openapi.json"):
        head = quick.client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == quick.client.get(path).headers["content-type"]
    assert quick.client.head(done["links"]["result"]).headers["content-length"] == "1000"
    assert quick.client.head("/v1/animations/none").status_code == 404


def test_head_makes_nothing(quick: Served) -> None:
    links = quick.scene()["links"]
    for name in ("file", "live", "preview", "styles", "explanation"):
        head, get = (quick.client.request(method, links[name]) for method in ("HEAD", "GET"))
        assert (head.status_code, get.status_code) == (200, 200) and "content-length" not in head.headers
        assert all(head.headers.get(name) == get.headers.get(name) for name in ("content-type", "etag"))
    with (quick.data / f"{links['self'].rpartition('/')[2]}.starts").open() as starts:
        assert len(starts.readlines()) == 1, "only GET makes a preview"
    quick.client.delete(links["self"])


def test_what_has_lost_its_file_says_so_and_fails(quick: Served) -> None:
    scene = quick.scene()
    job = quick.finished(quick.animation(scene["id"], seconds=0.1)["id"])
    (quick.data / "results" / f"{job['id']}.mp4").unlink()
    (quick.data / "scenes" / f"{scene['id']}.cine").unlink()
    for links, file in ((job["links"], "result"), (scene["links"], "photo")):
        response = quick.client.get(links[file])
        assert response.status_code == 500 and "file is missing" in response.json()["detail"]
        row = quick.client.get(links["self"]).json()
        assert row["state"] == "failed" and row["problem"] == response.json()
    for one in (job, scene):
        assert quick.client.delete(one["links"]["self"]).status_code == 204


@pytest.mark.parametrize(
    "options",
    [
        {"format": "exe"},
        {"seconds": 61},
        {"seconds": "4"},
        {"size": 64.5},
        {"fps": 0},
        {"seconds": 0.01},
        {"size": 8},
        {"quality": 99},
        {"format": "gif", "codec": "h264"},
        {"codec": "../../x"},
        {"crop": "1:0"},
        {"format": "html", "warp": "dfw"},
        {"format": "html", "sampling": "splat"},
        {"repeat": 21},
        {"seconds": 1, "duration": 21},
        {"duration": "soon"},
        {"duration": True},
        {"duration": 8, "repeat": 2},
        {"format": "gif", "duration": 8},
        {"keyframes": "some"},
        {"format": "gif", "keyframes": "all"},
        {"format": "gif", "sound": True},
        {"sound": "loud"},
        {"format": "wav", "crop": "1:1"},
        {"format": "wav", "duration": 8, "repeat": 2},
        {"format": "livephoto"},
        {"format": "MP.jpg", "repeat": 2},
        {"format": "livephoto.zip", "quality": 52},
        {"unknown": 1},
        {"speed": 1e999},
        {"pace": "fast"},
        {"subject": "sail"},
        {"wind": [0, -0.1]},
        {"subject": "auto", "wind": [0, 1.1]},
        {"subject": "auto", "wind": [0]},
        {"subject": "auto", "wind": "0,0.5"},
        {"style": "dusc"},
        {"style": "/etc/passwd"},
        {"style": "dusk", "style_strength": 1.1},
        {"style": "dusk", "style_strength": "1"},
        {"style": "dusk", "style_drift": 1},
        {"style_drift": True},
    ],
    ids=str,
)
def test_impossible_requests_are_refused_before_any_work(quick: Served, scene: str, options: dict[str, Any]) -> None:
    body = json.dumps({"scene": scene, **options})
    response = quick.client.post("/v1/animations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422 and response.headers["content-type"] == "application/problem+json"
    assert str(quick.data.resolve()) not in response.text
    assert response.json()["status"] == 422 and response.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    ("method", "address", "says"),
    [
        ("POST", "/v1/scenes?sise=720", "There is no query parameter 'sise'; did you mean 'size'?"),
        ("GET", "/v1/scenes/x/live?size=64&speeed=2", "There is no query parameter 'speeed'; did you mean 'speed'?"),
        ("HEAD", "/v1/scenes/x?w=1", "There is no query parameter 'w'; correct its name or leave it out"),
        ("DELETE", "/v1/animations/x?force=1", "There is no query parameter 'force'; correct its name"),
    ],
    ids=str,
)
def test_a_parameter_that_does_not_exist_is_refused(quick: Served, method: str, address: str, says: str) -> None:
    response = quick.client.request(method, address, content=b"x" if method == "POST" else None)
    assert response.status_code == 422
    assert method == "HEAD" or response.json()["detail"].startswith(says)


def test_malformed_json_is_said_with_its_place(quick: Served, scene: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = quick.client.post("/v1/animations", content='{"scene": 1,\n "size" 2}', headers=headers)
    assert response.status_code == 422
    says = "The body is not JSON at line 2, column 9: Expecting ':' delimiter; correct it."
    assert response.json()["detail"] == says
    assert (
        "at line 1, column 1: Expecting value"
        in quick.client.patch(f"/v1/scenes/{scene}", content=b"x", headers=headers).text
    )


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"scene": "x", "sped": 2}', "There is no field 'sped' in the body; did you mean 'speed'?"),
        ("{}", "body.scene is missing; add it."),
        ('{"scene": "x", "seconds": 0}', "body.seconds should be greater than 0."),
        ('{"scene": "x", "size": "big"}', "body.size should be a valid integer."),
        ("[]", "The body is not a JSON object; send one"),
        ("", "The body is not a JSON object; send one"),
    ],
    ids=str,
)
def test_a_wrong_body_is_said_in_words(quick: Served, body: str, says: str) -> None:
    response = quick.client.post("/v1/animations", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422 and response.json()["detail"].startswith(says)
    as_form = {"Content-Type": "application/x-www-form-urlencoded"}  # curl -d, without a header
    form = quick.client.post("/v1/animations", content=body or "{}", headers=as_form)
    assert form.status_code == 422 and "with the header Content-Type: application/json" in form.json()["detail"]


@pytest.mark.slow
def test_a_full_queue_says_when_to_retry(serve: Callable[..., Served]) -> None:
    served = serve(queue=2, scenes=1)
    scene = served.scene()["id"]
    running = served.animation(scene, seconds=50)["id"]
    wait_until(lambda: served.client.get(f"/v1/animations/{running}").json()["state"] == "running")
    for _ in range(2):
        served.animation(scene, seconds=50)
    response = served.client.post("/v1/animations", json={"scene": scene})
    assert response.status_code == 429 and int(response.headers["retry-after"]) >= 1
    response = served.client.post("/v1/scenes", content=b"one more")
    assert response.status_code == 429 and "limit of kept scenes, 1, is reached" in response.json()["detail"]


@pytest.mark.slow
def test_expired_scenes_and_results_are_deleted(serve: Callable[..., Served]) -> None:
    served = serve(keep_hours=1.5 / 3600)
    scene = served.scene()["id"]
    job = served.animation(scene, seconds=50)["id"]
    time.sleep(2)
    assert served.client.get(f"/v1/scenes/{scene}").status_code == 200, "it is being animated"
    wait_until(lambda: served.client.get(f"/v1/scenes/{scene}").status_code == 404)
    wait_until(lambda: served.client.get(f"/v1/animations/{job}").status_code == 404)
    wait_until(lambda: not served.files())  # they go just after the record
