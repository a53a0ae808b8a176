"""/v1/scenes with real workers: photos are uploaded, edited and previewed."""

import base64
import io
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from stylecine.edits.model import Style
from stylecine.edits.scene_file import read_cine
from stylecine.options import STYLES
from stylecine.output.video import read_video
from stylecine.picture.photo import encode_png
from stylecine.quality.measures import GOALS
from tests.server.conftest import Served

FREEZE = {"kind": "paint", "what": None, "mode": "freeze", "stroke": [[0.2, 0.8], [0.4, 0.8]], "radius": 0.1}
SKY = {"kind": "paint", "what": "sky", "mode": "add", "stroke": [[0.1, 0.2], [0.9, 0.2]], "radius": 0.2}
ARROW = {"kind": "push", "arrow": [0.5, 0.2, 0.6, 0.2]}
CALM = {"kind": "anchor", "point": [0.3, 0.2], "radius": 0.1}
FLAG = {"kind": "paint", "what": "cloth", "mode": "add", "stroke": [[0.4, 0.7], [0.7, 0.7]], "radius": 0.15}
DUSK = {"kind": "style", "name": "dusk", "strength": 1.0, "drift": False, "picture": None}
FASTER = {"kind": "speed", "what": "sky", "stroke": None, "radius": 0.03, "factor": 2.0}


@pytest.fixture(scope="session")
def png(photo: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def scene(real: Served, png: bytes) -> str:
    return str(real.scene(png, name="my lake.png")["id"])


def edited(real: Served, scene: str, *edits: dict[str, Any]) -> list[dict[str, Any]]:
    response = real.client.patch(f"/v1/scenes/{scene}", json={"edits": edits})
    assert response.status_code == 200, response.text
    assert real.client.get(f"/v1/scenes/{scene}").json() == response.json()
    return list(response.json()["edits"])


def test_a_photo_becomes_a_scene(real: Served, png: bytes, photo: np.ndarray) -> None:
    response = real.client.post("/v1/scenes?name=../../etc/my%20lake.png", content=png)
    made = response.json()
    assert response.status_code == 201 and f"/v1/{response.headers['location']}" == made["links"]["self"]
    assert (made["state"], made["name"], made["width"], made["height"]) == ("ready", "my lake.png", 96, 72)
    assert set(made["classes"]) == {"sky", "water", "falls", "smoke", "cloth"} and made["edits"] == []
    shown = Image.open(io.BytesIO(real.client.get(made["links"]["photo"]).content))
    assert np.array_equal(np.asarray(shown), photo)
    assert real.client.delete(made["links"]["self"]).status_code == 204
    assert real.client.get(made["links"]["self"]).status_code == 404


@pytest.mark.parametrize("damage", ["cut short", "in the middle", "missing"])
def test_a_scene_whose_file_is_damaged_fails_in_a_sentence(real: Served, png: bytes, damage: str) -> None:
    made = real.scene(png)
    cine = real.data / "scenes" / f"{made['id']}.cine"
    content = bytearray(cine.read_bytes())
    if damage == "missing":
        cine.unlink()
    else:
        place = content.index(b"IDAT") + 50  # in the photo
        content[place : place + 100] = bytes(100)
        cine.write_bytes(content[: len(content) // 2] if damage == "cut short" else content)
    response = real.client.get(made["links"]["photo"])
    assert response.status_code == 500 and response.headers["content-type"] == "application/problem+json"
    assert "The scene's file is missing or damaged" in response.json()["detail"]
    assert real.client.get(made["links"]["self"]).json()["problem"] == response.json()
    assert real.client.get(made["links"]["preview"]).status_code == 409
    assert real.client.delete(made["links"]["self"]).status_code == 204


def test_edits_are_replaced_and_keep_their_numbers(real: Served, scene: str) -> None:
    first = edited(real, scene, SKY, ARROW)
    assert [{**edit, "id": None} for edit in first] == [{**SKY, "id": None}, {**ARROW, "id": None}]
    more = edited(real, scene, *first, CALM, FASTER, FREEZE)
    assert more[:2] == first and [edit["kind"] for edit in more[2:]] == ["anchor", "speed", "paint"]
    assert edited(real, scene, {"id": more[0]["id"]}, SKY | {"what": "water"})[0] == first[0]
    assert edited(real, scene) == []


def test_an_impossible_edit_changes_nothing(real: Served, scene: str) -> None:
    before = edited(real, scene, SKY)
    nowhere = {"kind": "paint", "what": None, "mode": "erase", "stroke": [[2, 2]]}
    response = real.client.patch(f"/v1/scenes/{scene}", json={"edits": [*before, nowhere]})
    assert response.status_code == 422 and "does not touch the photo" in response.json()["detail"]
    assert response.headers["content-type"] == "application/problem+json"
    assert real.client.get(f"/v1/scenes/{scene}").json()["edits"] == before


def test_a_scene_is_downloaded_and_uploaded_as_a_file(real: Served, scene: str, tmp_path: Any) -> None:
    edited(real, scene, SKY, ARROW)
    response = real.client.get(f"/v1/scenes/{scene}/file")
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''my%20lake.cine"
    (tmp_path / "back.cine").write_bytes(response.content)
    assert len(read_cine(tmp_path / "back.cine").edits) == 2
    again = real.scene(response.content, name="back.cine")
    assert [edit["kind"] for edit in again["edits"]] == ["paint", "push"]
    second = {"id": again["edits"][0]["id"]}
    assert edited(real, str(again["id"]), second, FREEZE)[0] == again["edits"][0]


def packed_facts(content: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<Q", content[:8])
    facts: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["stylecine"])
    return facts


def test_painted_cloth_moves_in_the_requested_wind(real: Served, scene: str) -> None:
    flag = edited(real, scene, SKY, FLAG)[1]
    assert flag == {**FLAG, "id": flag["id"]}
    assert 0.1 < real.client.get(f"/v1/scenes/{scene}").json()["classes"]["cloth"] < 0.3
    live = f"/v1/scenes/{scene}/live?size=64&seconds=1"
    plain, still, right, left = (
        real.client.get(live + query)
        for query in ("", "&subject=landscape", "&subject=auto&wind=0,0.8", "&subject=auto&wind=180,0.8")
    )
    assert {response.status_code for response in (plain, still, right, left)} == {200}
    assert plain.content == still.content and not packed_facts(plain.content)["overlays"]
    (cloth,) = packed_facts(right.content)["overlays"]
    assert cloth["kind"] == "cloth" and cloth["cycles"] == 1 and right.content != left.content
    assert len({response.headers["etag"] for response in (plain, right, left)}) == 3
    small = real.client.get(f"/v1/scenes/{scene}/preview?size=64&seconds=0.2&format=webp&subject=cloth")
    assert small.status_code == 200, small.text
    job = real.finished(real.animation(scene, format="html", size=64, seconds=0.5, subject="cloth", wind=[90, 1])["id"])
    assert job["state"] == "done", job


def test_another_wind_is_what_it_changes_in_the_web_pack(real: Served, scene: str) -> None:
    edited(real, scene, SKY, FLAG)
    of = f"/v1/scenes/{scene}/%s?size=64&seconds=1&subject=auto&wind=%s,0.8"
    quick, wind, live = (real.client.get(of % asked) for asked in (("wind", 90), ("wind", 180), ("live", 180)))
    assert {response.status_code for response in (quick, wind, live)} == {200}, wind.text
    assert load(wind.content).keys() == {"overlays.0.keyframes", "overlays.0.active"}
    for name, values in load(wind.content).items():
        assert np.array_equal(values, load(live.content)[name])
    quick = real.client.get(of % ("wind", 90) + "&quick=true")
    assert quick.status_code == 200, quick.text
    first, draft = (packed_facts(pack.content)["overlays"][0] for pack in (live, quick))
    assert draft["cell"] == 2 * first["cell"]
    roughly, exactly = load(quick.content), load(wind.content)
    assert roughly["overlays.0.keyframes"].nbytes < exactly["overlays.0.keyframes"].nbytes
    assert "velocity" in roughly, "the sky follows"


def test_without_cloth_there_is_no_wind(real: Served, scene: str) -> None:
    edited(real, scene, SKY)
    response = real.client.get(f"/v1/scenes/{scene}/wind?size=64&seconds=1&subject=auto")
    assert (response.status_code, response.json()["type"]) == (422, "urn:stylecine:nothing-moves"), response.text
    assert "paint" in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("subject=sail", "subject"),
        ("subject=auto&wind=strong", "wind"),
        ("subject=auto&wind=0", "wind"),
        ("wind=0,-0.1", "strength must be a number from 0"),
        ("subject=auto&wind=0,2", "strength must be"),
        ("subject=cloth", "paint it"),
    ],
)
def test_impossible_winds_are_refused(real: Served, scene: str, query: str, says: str) -> None:
    edited(real, scene, SKY)
    for what in ("live", "preview"):
        response = real.client.get(f"/v1/scenes/{scene}/{what}?size=64&seconds=1&{query}")
        assert response.status_code == 422 and says in response.json()["detail"], response.text
        assert response.headers["content-type"] == "application/problem+json"


def test_the_player_gets_a_pack(real: Served, scene: str) -> None:
    edited(real, scene, SKY)
    response = real.client.get(f"/v1/scenes/{scene}/live?size=64&seconds=1")
    assert response.status_code == 200, response.text
    facts = packed_facts(response.content)
    assert (facts["height"], facts["period"]) == (64, 30)
    known = {"If-None-Match": response.headers["etag"]}
    assert real.client.get(f"/v1/scenes/{scene}/live?size=64&seconds=1", headers=known).status_code == 304
    edited(real, scene, SKY, CALM)
    assert real.client.get(f"/v1/scenes/{scene}/live?size=64&seconds=1", headers=known).status_code == 200


def test_each_pace_has_a_pack_of_its_own(real: Served, scene: str) -> None:
    edited(real, scene, SKY)
    live = f"/v1/scenes/{scene}/live?size=64&seconds=1"
    usual, natural, calm = (real.client.get(live + query) for query in ("", "&pace=natural", "&pace=calm"))
    assert usual.status_code == calm.status_code == 200, calm.text
    assert usual.content == natural.content and usual.headers["etag"] == natural.headers["etag"]
    assert usual.content != calm.content and usual.headers["etag"] != calm.headers["etag"]
    refused = real.client.get(f"{live}&pace=fast")
    assert refused.status_code == 422 and "pace" in refused.json()["detail"]


def test_a_style_is_an_edit_of_the_scene(real: Served, scene: str) -> None:
    plain = edited(real, scene, SKY)[0]
    live = f"/v1/scenes/{scene}/live?size=64&seconds=1"
    before = real.client.get(live)
    assert before.status_code == 200, before.text
    style = edited(real, scene, plain, {"kind": "style", "name": "dusk", "strength": 0.5})[1]
    assert style == DUSK | {"id": style["id"], "strength": 0.5}
    assert edited(real, scene, plain, style)[1] == style, "what is received can be sent back"
    assert real.client.get(live).headers["etag"] != before.headers["etag"]
    job = real.finished(real.animation(scene, format="png", size=64)["id"])
    assert job["state"] == "done", job
    shown = Image.open(io.BytesIO(real.client.get(job["links"]["result"]).content))
    edited(real, scene, plain)
    options = {"style": "dusk", "style_strength": 0.5}
    job = real.finished(real.animation(scene, format="png", size=64, **options)["id"])
    asked = Image.open(io.BytesIO(real.client.get(job["links"]["result"]).content))
    assert np.array_equal(np.asarray(shown), np.asarray(asked))
    preview = real.client.get(f"/v1/scenes/{scene}/preview?size=64&seconds=0.2&format=webp&style=dusk&style_drift=1")
    assert preview.status_code == 200, preview.text


def test_a_video_lasts_as_long_as_asked(real: Served, scene: str, tmp_path: Path) -> None:
    edited(real, scene, SKY)
    for duration, frames in ((1, 12), ("0.9s", 12), ("0.01m", 8)):  # in loops of 4
        options = {"size": 64, "seconds": 0.4, "fps": 10, "duration": duration}
        job = real.finished(real.animation(scene, **options)["id"])
        assert job["state"] == "done", job
        (tmp_path / "loop.mp4").write_bytes(real.client.get(job["links"]["result"]).content)
        assert len(read_video(tmp_path / "loop.mp4")[0]) == frames


def test_another_photo_is_a_style(real: Served, scene: str, png: bytes, photo: np.ndarray, tmp_path: Path) -> None:
    before = real.files()
    response = real.client.post(f"/v1/scenes/{scene}/styles?name=../my%20beach.png", content=png)
    assert response.status_code == 200, response.text
    style = response.json()
    assert {**style, "picture": None} == DUSK | {"name": "my beach.png"}
    with Image.open(io.BytesIO(base64.b64decode(style["picture"]))) as picture:
        assert np.array_equal(np.asarray(picture), photo)  # it is smaller than the picture of a style may be
    assert real.files() == before, "the photo is not kept"
    kept = edited(real, scene, SKY, {**style, "strength": 0.5, "drift": True})[1]
    assert kept == {**style, "id": kept["id"], "strength": 0.5, "drift": True}
    (tmp_path / "lake.cine").write_bytes(real.client.get(f"/v1/scenes/{scene}/file").content)
    edit = read_cine(tmp_path / "lake.cine").edits[1]
    assert isinstance(edit, Style) and (edit.name, edit.strength, edit.drift) == ("my beach.png", 0.5, True)
    assert edit.picture is not None and np.array_equal(edit.picture, photo)
    again = real.scene((tmp_path / "lake.cine").read_bytes(), name="lake.cine")
    assert again["edits"][1] == {**kept, "id": 1}
    id = str(again["id"])
    assert edited(real, id, {"id": 1}) == [again["edits"][1]]
    weaker = edited(real, id, {**again["edits"][1], "strength": 0.2})
    assert weaker == [{**kept, "id": 2, "strength": 0.2}]
    assert real.client.get(f"/v1/scenes/{id}/live?size=64&seconds=1").status_code == 200


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"name": "dusc"}, "name should be 'golden-hour', 'sunset', 'dusk'"),
        ({"name": "/etc/hostname"}, "name should be"),
        ({"name": "dusk", "strength": 1.1}, "strength"),
        ({"name": "dusk", "drift": "yes"}, "drift"),
        ({"name": "x.jpg", "picture": "not base64"}, "is not base64"),
        ({"name": "x.jpg", "picture": "\u00e4"}, "is not base64"),
        ({"name": "x.jpg", "picture": "bm8gcGhvdG8="}, "cannot be read as an image"),
        ({"name": "x.jpg", "picture": ""}, "picture"),
        ({"name": "x.jpg", "picture": 3}, "picture"),
        ({"name": "x" * 256, "picture": "bm8gcGhvdG8="}, "name"),
        ({"name": "x.jpg", "picture": 2_000_001 * "A"}, "picture"),
    ],
    ids=range(11),
)
def test_impossible_styles_are_refused(real: Served, scene: str, edit: dict[str, Any], says: str) -> None:
    before = edited(real, scene, SKY)
    response = real.client.patch(f"/v1/scenes/{scene}", json={"edits": [*before, {"kind": "style", **edit}]})
    assert response.status_code == 422 and says in response.json()["detail"], response.text
    assert real.client.get(f"/v1/scenes/{scene}").json()["edits"] == before


def test_the_pictures_of_all_styles_are_bounded(quick: Served) -> None:
    scene = quick.scene()["links"]["self"]
    styles = [{"kind": "style", "name": f"{k}.jpg", "picture": 1_000_000 * "A"} for k in range(3)]
    assert quick.client.patch(scene, json={"edits": styles[:2]}).status_code == 200
    response = quick.client.patch(scene, json={"edits": styles})
    assert response.status_code == 422 and "2000000 characters" in response.json()["detail"]
    quick.client.delete(scene)


def test_no_photo_is_no_style(real: Served, scene: str, png: bytes) -> None:
    before, url = real.files(), f"/v1/scenes/{scene}/styles"
    for content, status in ((b"", 422), (b"no photo", 422), (png[:300], 422)):
        response = real.client.post(url, content=content)
        assert response.status_code == status and response.headers["content-type"] == "application/problem+json"
        assert str(real.data) not in response.text
    assert real.client.post(url, files={"photo": png}).status_code == 415
    assert real.client.post("/v1/scenes/none/styles", content=png).status_code == 404
    assert real.files() == before


def test_thumbnails_show_the_photo_in_every_style(real: Served, scene: str, photo: np.ndarray) -> None:
    response = real.client.get(f"/v1/scenes/{scene}/styles")
    assert response.status_code == 200 and response.headers["content-type"] == "image/webp", response.text
    with Image.open(io.BytesIO(response.content)) as row:
        assert row.size == (160 * (1 + len(STYLES)), 120)
        tiles = np.split(np.asarray(row.convert("RGB")).astype(int), 1 + len(STYLES), axis=1)
    small = np.asarray(Image.fromarray(photo).resize((160, 120), Image.Resampling.BICUBIC))
    assert np.abs(tiles[0] - small).mean() < 6
    edited(real, scene, SKY)
    known = {"If-None-Match": response.headers["etag"]}
    assert real.client.get(f"/v1/scenes/{scene}/styles", headers=known).status_code == 304, "edits change nothing"


def test_a_loop_is_explained(real: Served, scene: str) -> None:
    edited(real, scene, SKY)
    url = f"/v1/scenes/{scene}/explanation?size=64&seconds=0.5"
    response = real.client.get(url)
    assert response.status_code == 200 and response.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "64 pixels" in response.text and "stylecine render" in response.text and str(real.data) not in response.text
    assert real.client.get(url, headers={"If-None-Match": response.headers["etag"]}).status_code == 304
    edited(real, scene, SKY, SKY)
    assert real.client.get(url, headers={"If-None-Match": response.headers["etag"]}).status_code == 200, "as edited"
    assert real.client.get(f"{url}&fps=0").status_code == 422


def test_a_preview_is_small(real: Served, scene: str) -> None:
    edited(real, scene, SKY)
    response = real.client.get(f"/v1/scenes/{scene}/preview?size=64&seconds=0.2&format=webp")
    assert (
        Image.open(io.BytesIO(response.content)).format == "WEBP" and response.headers["content-type"] == "image/webp"
    )


def test_a_scene_in_which_nothing_moves_says_so(real: Served, scene: str) -> None:
    edited(
        real, scene, *({"kind": "speed", "what": what, "factor": 0.0} for what in ("sky", "water", "falls", "smoke"))
    )
    response = real.client.get(f"/v1/scenes/{scene}/live")
    assert response.status_code == 422 and "move" in response.json()["detail"]


def test_a_file_that_is_not_a_photo_is_refused_and_leaves_nothing(real: Served, png: bytes) -> None:
    before = real.files()
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    fake = io.BytesIO()
    with zipfile.ZipFile(fake, "w") as archive:
        archive.writestr("../../evil", b"x")
    for content, status in (
        (b"", 422),
        (b"no photo", 422),
        (png[:300], 422),
        (bomb.getvalue(), 413),
        (fake.getvalue(), 422),
    ):
        response = real.client.post("/v1/scenes", content=content)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json" and response.json()["detail"].endswith(
            "."
        )
        assert str(real.data) not in response.text
    rng = random.Random(7)
    for _ in range(12):
        damaged = bytearray(png)
        for _ in range(rng.choice((1, 5, 50))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        response = real.client.post("/v1/scenes", content=bytes(damaged))
        assert response.status_code in (201, 413, 422), response.text
        if response.status_code == 201:
            real.client.delete(response.json()["links"]["self"])
    assert real.files() == before


def test_the_seam_of_a_loop_is_measured_and_has_its_goal(real: Served, scene: str) -> None:
    edited(real, scene)
    seam = f"/v1/scenes/{scene}/seam?size=64&seconds=1"
    answer = real.client.get(seam).json()
    assert answer["goal"] == list(GOALS["seam"]) and 0.8 < answer["seam"] < 1.25
    assert real.client.get(f"{seam}&speed=3").json()["seam"] != answer["seam"]
    assert real.client.get(f"{seam}&pace=fast").status_code == 422
    assert real.client.get("/v1/scenes/none/seam").status_code == 404


def test_doubts_are_places_that_move_and_can_be_frozen(real: Served, scene: str) -> None:
    link = f"/v1/scenes/{scene}"
    edited(real, scene)
    doubts = [doubt for doubt in real.client.get(f"{link}/doubts").json()["doubts"] if doubt["what"] is None]
    moving = real.client.get(link).json()["moving"]
    assert doubts == sorted(doubts, key=lambda doubt: -doubt["share"]) and 0 < len(doubts) <= 3
    freeze = [{**FREEZE, "stroke": doubt["stroke"], "radius": doubt["radius"]} for doubt in doubts]
    edited(real, scene, *freeze)
    assert real.client.get(link).json()["moving"] < moving
    left = [doubt for doubt in real.client.get(f"{link}/doubts").json()["doubts"] if doubt["what"] is None]
    assert sum(doubt["share"] for doubt in left) < sum(doubt["share"] for doubt in doubts)
    edited(real, scene)


@pytest.mark.parametrize("form", ["mp4", "gif", "livephoto.zip", "MP.jpg", "png", "zip", "html"])
def test_every_kind_of_file_is_made(real: Served, scene: str, form: str) -> None:
    edited(real, scene, SKY)
    job = real.finished(real.animation(scene, format=form, size=64, seconds=0.2, fps=10)["id"])
    assert job["state"] == "done", job
    response = real.client.get(job["links"]["result"])
    assert len(response.content) == job["bytes"] > 0
    assert response.headers["content-disposition"] == f"attachment; filename*=utf-8''my%20lake.{form}"
    if form == "zip":
        assert zipfile.ZipFile(io.BytesIO(response.content)).namelist() == ["frame-0000.png", "frame-0001.png"]
    if form == "livephoto.zip":
        assert zipfile.ZipFile(io.BytesIO(response.content)).namelist() == ["live-photo.jpg", "live-photo.mov"]
    media_types = {"livephoto.zip": "application/zip", "MP.jpg": "image/jpeg", "mp4": "video/mp4"}
    assert response.headers["content-type"] == media_types.get(form, response.headers["content-type"])


def test_a_photo_that_may_disappoint_has_a_warning(real: Served) -> None:
    sky = np.empty((72, 96, 3), np.uint8)
    sky[:] = np.linspace((120, 160, 220), (130, 170, 230), 72)[:, None]
    assert "nearly plain, such as a clear sky" in real.scene(encode_png(sky))["warning"]
