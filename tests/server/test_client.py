"""`stylecine animate --server`: the same file as without it, and nothing left on the service."""

import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from stylecine.cli import main
from stylecine.errors import OutputError, ServiceError
from stylecine.output.video import read_video
from stylecine.server import client
from tests.server.conftest import Served, wait_until

SCENE = {"id": "s", "state": "ready", "width": 64, "height": 64, "links": {"self": "/s"}}
PROGRESS = {"stage": "video", "done": 1, "total": 2}
LINKS = {"self": "/j", "result": "/r"}
JOB = {"state": "done", "bytes": 4, "warning": None, "progress": PROGRESS, "links": LINKS}


@pytest.fixture
def slow_photo(tmp_path: Path) -> Path:
    """A photo that quick workers animate slowly."""
    (tmp_path / "lake.jpg").write_bytes(b"a photo")
    return tmp_path / "lake.jpg"


def kept(served: Served) -> list[Any]:
    """The numbers of scenes and animations that the service keeps."""
    lines = served.client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith("stylecine_kept") and not line.endswith(" 0.0")]


def test_the_service_makes_the_loop(
    real: Served, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(real)
    common = ["animate", str(photo_file), "--server", real.address, "--seconds", "0.2", "--fps", "10"]
    arrow = ["--arrow", "0.5,0.8,0.6,0.8", "--subject", "auto", "--wind", "270,0.6"]
    assert main([*common, *arrow, "-o", str(tmp_path / "loop.gif"), "--json"]) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out)
    assert result["job"]["state"] == "done" and result["scene"]["edits"][0]["kind"] == "push"
    with Image.open(tmp_path / "loop.gif") as loop:
        assert loop.format == "GIF"
    assert main([*common, "-o", str(tmp_path / "frames")]) == 0
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["frame-0000.png", "frame-0001.png"]
    assert kept(real) == before


def test_the_service_makes_photos_that_move_and_long_videos(
    real: Served, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["animate", str(photo_file), "--server", real.address, "--seconds", "1", "--fps", "10"]
    common += ["--arrow", "0.5,0.8,0.6,0.8"]
    assert main([*common, "-o", str(tmp_path / "my.livephoto")]) == 0, capsys.readouterr().err
    assert "my.livephoto.jpg and " in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("my.*")) == ["my.livephoto.jpg", "my.livephoto.mov"]
    assert len(read_video(tmp_path / "my.livephoto")[0]) == 30
    for name in ("my.livephoto.zip", "my.MP.jpg"):
        assert main([*common, "-o", str(tmp_path / name)]) == 0
    assert len(read_video(tmp_path / "my.MP.jpg")[0]) == 30
    assert main([*common, "-o", str(tmp_path / "my.mp4"), "--duration", "3.5s", "--keyframes", "all"]) == 0
    assert len(read_video(tmp_path / "my.mp4")[0]) == 40
    assert main([*common, "-o", str(tmp_path / "story.mp4"), "--preset", "story"]) == 0, capsys.readouterr().err
    frames, _ = read_video(tmp_path / "story.mp4")
    assert len(frames) == 150 and frames[0].shape[:2] == (72, 40)  # 15 s of the largest window of the shape
    assert main([*common, "-o", str(tmp_path / "once.mp4"), "--preset", "story", "--repeat", "1"]) == 0
    assert len(read_video(tmp_path / "once.mp4")[0]) == 10, "the usual number of repeats is given, too"
    assert main([*common, "-o", str(tmp_path / "long.mp4"), "--duration", "10m"]) == 2
    assert "a video repeats its loop at most 20 times here" in capsys.readouterr().err
    assert not list(tmp_path.glob(".stylecine*")) and not (tmp_path / "long.mp4").exists()


@pytest.mark.parametrize(
    ("names", "compression"),
    [
        (["live-photo.jpg"], zipfile.ZIP_STORED),
        (["live-photo.jpg", "../live-photo.mov"], zipfile.ZIP_STORED),
        (["live-photo.jpg", "live-photo.mov", "live-photo.mov"], zipfile.ZIP_STORED),
        (["live-photo.jpg", "live-photo.mov"], zipfile.ZIP_DEFLATED),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_anything_else_is_refused(tmp_path: Path, names: list[str], compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", compression) as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    wanted = {name: tmp_path / name for name in ("live-photo.jpg", "live-photo.mov")}
    with pytest.raises(ServiceError, match="something other than was asked for"):
        client._unpack(tmp_path / "x.zip", wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_the_service_is_told_the_style_and_gets_its_photo(
    real: Served, photo_file: Path, photo: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(real)
    Image.fromarray(photo[:, ::-1]).save(tmp_path / "look.png")
    for style, name in (("dusk", "dusk"), (str(tmp_path / "look.png"), "look.png")):
        given = ["--style", style, "--style-strength", "0.5", "--style-drift", "--arrow", "0.5,0.8,0.6,0.8"]
        command = ["animate", str(photo_file), "--server", real.address, "--seconds", "0.2", "--fps", "10", *given]
        assert main([*command, "-o", str(tmp_path / "loop.png"), "--json"]) == 0, capsys.readouterr().err
        edit = json.loads(capsys.readouterr().out)["scene"]["edits"][1]
        assert (edit["kind"], edit["name"], edit["strength"], edit["drift"]) == ("style", name, 0.5, True)
        assert (edit["picture"] is None) == (name == "dusk")
    assert kept(real) == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_names_that_are_not_utf8_are_sent_escaped(
    real: Served, photo_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, output = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9.png", b"caf\xe9.gif"))
    photo.write_bytes(photo_file.read_bytes())
    given = ["--style", str(photo), "--seconds", "0.2", "--fps", "10", "--arrow", "0.5,0.8,0.6,0.8", "--json"]
    assert main(["animate", str(photo), "--server", real.address, "-o", str(output), *given]) == 0
    edits = json.loads(capsys.readouterr().out)["scene"]["edits"]
    assert edits[1]["name"].endswith("xe9.png") and output.stat().st_size > 0


def test_the_token_is_sent(
    serve: Callable[..., Served], slow_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve("a-token-nobody-guesses")
    command = ["animate", str(slow_photo), "--server", served.address, "-o", str(tmp_path / "loop.mp4")]
    assert main(command) == 2 and "valid token" in capsys.readouterr().err
    (tmp_path / "token").write_text("a-token-nobody-guesses\n")
    assert main([*command, "--token-file", str(tmp_path / "token")]) == 0
    assert (tmp_path / "loop.mp4").stat().st_size == 1000


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on standard error."""
    error = capsys.readouterr().err
    assert error.startswith("stylecine: ") and error.count("\n") == 1
    return error


def test_errors_are_one_sentence(
    quick: Served, slow_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "loop.mp4"
    before = kept(quick)

    def animate(*options: str, server: str = quick.address, photo: Path = slow_photo) -> str:
        assert main(["animate", str(photo), "-o", str(output), "--server", server, *options]) == 2
        assert not list(tmp_path.glob("loop*"))
        return error_line(capsys)

    assert "cannot be reached" in animate(server="http://127.0.0.1:9")
    assert "not the address" in animate(server="ftp://127.0.0.1")
    assert "not the address" in animate(server="http://[::1")
    assert "There is no photo" in animate(photo=tmp_path / "none.jpg")
    assert "this machine only" in animate("--mask", "mask.png")
    assert "short side" in animate("--size", "own")
    assert "less than two frames" in animate("--seconds", "0.01")
    assert "There is no style 'dusc'; did you mean dusk?" in animate("--style", "dusc")
    assert "give a style" in animate("--style-drift")
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    assert "The photo is bad" in animate("--style", str(tmp_path / "bad.jpg"))
    assert "more than allowed" in animate("--seconds", "61", "--fps", "10")
    slow_photo.write_bytes(b"bad")
    assert "The photo is bad" in animate()
    assert kept(quick) == before


class Request(BaseHTTPRequestHandler):
    """A request to a server of a test, which responds to it."""

    body: bytes

    @property
    def place(self) -> str:
        """Its path, without the query."""
        return self.path.partition("?")[0]

    def send(self, value: Any, status: int = 200, retry: str = "7", cut: int = 0) -> None:
        """Responds with bytes, or with anything else as JSON, of which the last few bytes may be cut off."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Retry-After", retry)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - cut])

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(respond: Callable[[Request], Any]) -> Iterator[client.Client]:
    """The client of a server that responds so to all requests."""

    class Server(Request):
        def answer(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            respond(self)

        do_POST = do_PATCH = do_GET = do_DELETE = answer

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield client.Client(f"http://127.0.0.1:{server.server_port}", "a-token")
        server.shutdown()


def answering(replies: dict[str, Any]) -> AbstractContextManager[client.Client]:
    """Replies are JSON or bytes, by path; a pair is a status and a reply."""

    def respond(request: Request) -> None:
        reply = replies.get(request.place, {})
        request.send(*(reply[::-1] if isinstance(reply, tuple) else (reply,)))

    return serving(respond)


@pytest.mark.parametrize("content", [b"<p>Hello", b"[1]", b'{"ok": true}', b'{"state": "ready", "links": []}'])
def test_another_web_server_is_refused(
    slow_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    with serving(lambda request: request.send(content)) as other:
        assert main(["animate", str(slow_photo), "-o", str(tmp_path / "x.mp4"), "--server", other.url]) == 2
    assert "not a service of stylecine" in error_line(capsys)


def test_an_endless_response_is_not_read_to_the_end(slow_photo: Path, tmp_path: Path) -> None:
    """A scene, a job and a result, each far too large; the token is never sent to another host."""
    sent = 0
    scene, job = SCENE, JOB | {"state": "queued"}
    replies: dict[str, Any] = {}

    def respond(request: Request) -> None:
        nonlocal sent
        if (reply := replies.get(request.place)) is not None:
            return request.send(reply)
        request.send_response(200)
        request.end_headers()
        with suppress(ConnectionError):
            request.wfile.write(b'{"detail": "')
            for _ in range(1000):
                request.wfile.write(b"x" * 100_000)
                sent += 100_000

    deleted = {"/s": {}, "/j": {}}
    with serving(respond) as connected:
        for case in (
            {},
            {"/v1/scenes": scene, "/v1/animations": job, "/s": {}},
            {"/v1/scenes": scene, "/v1/animations": job | {"state": "done"}, **deleted},
            {"/v1/scenes": scene | {"state": "queued", "links": {"self": "@example.org/"}}, **deleted},
        ):
            replies, sent = case, 0
            with pytest.raises(ServiceError, match="not a service of stylecine"):
                connected.animate(slow_photo, tmp_path / "x.mp4")
            assert sent < 40_000_000, "at most 16 MB are accepted, and some more are in transit"
    assert not (tmp_path / "x.mp4").exists()


def without(description: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in description.items() if key != name}


def while_queued(content: bytes) -> dict[str, Any]:
    return {"/v1/animations": JOB | {"state": "queued"}, "/j": content}


NONSENSE: dict[str, dict[str, Any]] = {
    "deep": while_queued(60_000 * b"["),
    "not-unicode": while_queued(b"\xff"),
    "infinite-progress": while_queued(
        b'{"state": "running", "progress": {"stage": "video", "done": 1e999, "total": 2}}'
    ),
    "job-state": {"/v1/animations": JOB | {"state": "banana"}},
    "no-warning": {"/v1/animations": without(JOB, "warning")},
    "warnings": {"/v1/animations": JOB | {"warning": ["a", "list"]}},
    **{f"{size}-bytes": {"/v1/animations": JOB | {"bytes": size}} for size in (None, 1e15, 10**15, math.inf, math.nan)},
    "scene-state": {"/v1/scenes": SCENE | {"state": "banana"}},
    "links": {"/v1/animations": JOB | {"links": dict.fromkeys(LINKS, "/\ud800")}},
    "null-width": {"/v1/scenes": SCENE | {"width": None}},
    "no-height": {"/v1/scenes": without(SCENE, "height")},
}


@pytest.mark.parametrize("replies", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused_before_anything_is_written(
    slow_photo: Path, tmp_path: Path, replies: dict[str, Any]
) -> None:
    def progress(*step: Any) -> None:
        assert [type(value) for value in step] == [str, int, int]

    replies = {"/v1/scenes": SCENE, "/v1/animations": JOB, "/r": b"loop"} | replies
    with answering(replies) as connected, pytest.raises(ServiceError, match="not a service of stylecine"):
        connected.animate(slow_photo, tmp_path / "x.mp4", progress=progress)
    assert os.listdir(tmp_path) == [slow_photo.name]


def test_a_long_explanation_is_cut(slow_photo: Path, tmp_path: Path) -> None:
    long = {"detail": 3_000_000 * "x"}
    done = JOB | {"warning": 3_000_000 * "x"}
    for replies in (
        {"/v1/scenes": (422, long)},
        {"/v1/scenes": SCENE | {"state": "failed", "problem": long}},
        {"/v1/scenes": SCENE, "/v1/animations": JOB | {"state": "failed", "problem": long}},
    ):
        with answering(replies) as connected, pytest.raises(ServiceError, match=r"^x+$") as caught:
            connected.animate(slow_photo, tmp_path / "x.mp4")
        assert len(str(caught.value)) == 1000
    with answering({"/v1/scenes": SCENE, "/v1/animations": done, "/r": b"loop"}) as connected:
        assert len(connected.animate(slow_photo, tmp_path / "x.mp4")["job"]["warning"]) == 1000


def test_a_result_larger_than_the_disk_is_not_downloaded(
    slow_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.shutil, "disk_usage", lambda _: SimpleNamespace(free=3))
    replies = {"/v1/scenes": SCENE, "/v1/animations": JOB, "/r": b"loop"}
    with answering(replies) as connected, pytest.raises(OutputError, match="space"):
        connected.animate(slow_photo, tmp_path / "x.mp4")
    assert os.listdir(tmp_path) == [slow_photo.name]


def test_deleting_does_not_wait_for_long(slow_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is complete; a service that does not respond any more must not hold the command up."""
    timeouts: list[Any] = []
    stream = httpx.Client.stream

    def observed(self: httpx.Client, method: str, url: str, **request: Any) -> Any:
        if method == "DELETE":
            timeouts.append(request.get("timeout"))
        return stream(self, method, url, **request)

    monkeypatch.setattr(httpx.Client, "stream", observed)
    with answering({"/v1/scenes": SCENE, "/v1/animations": JOB, "/r": b"loop"}) as connected:
        connected.animate(slow_photo, tmp_path / "x.mp4")
    assert timeouts == 3 * [5]


def archive_of(path: Path, names: Sequence[str]) -> bytearray:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, 100 * "x")
    return bytearray(path.read_bytes())


def encrypted(content: bytearray) -> None:
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1


def version_99(content: bytearray) -> None:
    content[content.index(b"PK\1\2") + 6] = 99


def overlapping(content: bytearray) -> None:
    """The second frame starts where the first one does and each is as long as the file."""
    first = content.index(b"PK\1\2")
    for entry in (first, content.index(b"PK\1\2", first + 1)):
        content[entry + 20 : entry + 28] = 2 * struct.pack("<I", first)
    content[entry + 42 : entry + 46] = content[first + 42 : first + 46]


def cut(content: bytearray) -> None:
    """The frame's data are said to start at the end of the file."""
    entry = content.index(b"PK\1\2")
    content[entry + 42 : entry + 46] = struct.pack("<I", len(content) - 10)


@pytest.mark.parametrize("change", [encrypted, version_99, overlapping, cut])
def test_a_crafted_archive_is_refused(tmp_path: Path, change: Callable[[bytearray], None]) -> None:
    content = archive_of(tmp_path / "x.zip", [f"frame-000{n}.png" for n in range(2)])
    change(content)
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ServiceError, match="something other than was asked for"):
        client._unpack(tmp_path / "x.zip", tmp_path)


@pytest.mark.parametrize("names", [[], ["frame-0000.png", "frame-0002.png"], 2 * ["frame-0000.png"]])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_of_other_than_consecutive_frames_is_refused(tmp_path: Path, names: list[str]) -> None:
    archive_of(tmp_path / "x.zip", names)
    with pytest.raises(ServiceError, match="something other than was asked for"):
        client._unpack(tmp_path / "x.zip", tmp_path)
    assert os.listdir(tmp_path) == ["x.zip"]


def test_a_job_is_requested_again_with_the_same_key(
    slow_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the service is full, then the connection breaks."""
    monkeypatch.setattr(client.time, "sleep", lambda seconds: waited.append(seconds))
    waited: list[float] = []
    keys: list[str] = []
    deleted: list[str] = []
    states = iter(("running", "running", "done"))
    job = JOB | {"state": "queued"}

    def respond(request: Request) -> None:
        match request.command, request.place:
            case "POST", "/v1/scenes":
                request.send(SCENE)
            case "POST", _:
                keys.append(request.headers["Idempotency-Key"])
                if len(keys) == 1:
                    request.send({"detail": "Full; try again later."}, 429)
                elif len(keys) == 3:
                    request.send(job)
            case "GET", "/j":
                request.send({**job, "state": next(states)})
            case "GET", _:
                request.send(b"loop")
            case _:
                deleted.append(request.path)
                request.send({})

    with serving(respond) as connected:
        connected.animate(slow_photo, tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_bytes() == b"loop"
    assert len(keys) == 3 and len(set(keys)) == 1 and waited == [7, 2, *3 * [client.POLL]]
    assert deleted == ["/j", "/j", "/s"]


@pytest.mark.parametrize("status", [429, 507])
def test_every_request_is_retried(
    slow_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """At first the service is full, and each response breaks off once."""
    monkeypatch.setattr(client.time, "sleep", lambda seconds: waited.append(seconds))
    waited: list[float] = []
    seen: list[tuple[str, str, bytes]] = []
    queued = SCENE | {"state": "queued"}
    accepted = JOB | {"state": "queued"}
    responses = {"/v1/scenes": queued, "/s": SCENE, "/v1/animations": accepted, "/j": JOB, "/r": b"loop"}

    def respond(request: Request) -> None:
        again = any(before[:2] == (request.command, request.place) for before in seen)
        seen.append((request.command, request.place, request.body))
        if again or request.command == "DELETE":
            request.send(responses[request.place])
        elif request.command == "GET":
            request.send(responses[request.place], cut=2)
        else:
            request.send({"detail": "Full; try again later."}, status, retry="3")

    with serving(respond) as connected:
        connected.animate(slow_photo, tmp_path / "x.mp4", arrows=[(0.5, 0.5, 0.6, 0.5)])
    assert (tmp_path / "x.mp4").read_bytes() == b"loop"
    assert [path for method, path, _ in seen if method != "DELETE"] == [
        *(*2 * ["/v1/scenes"], *4 * ["/s"], *2 * ["/v1/animations"], *2 * ["/j"], *2 * ["/r"]),
    ]
    assert [body for _, path, body in seen if path == "/v1/scenes"] == 2 * [b"a photo"]
    assert waited == [3, 1, 3, 3, client.POLL, 1, 1]


def test_a_photo_is_not_sent_twice_if_the_connection_breaks(slow_photo: Path, tmp_path: Path) -> None:
    sent: list[str] = []

    with serving(lambda request: sent.append(request.path)) as server, pytest.raises(ServiceError, match="cannot"):
        server.animate(slow_photo, tmp_path / "x.mp4")
    assert len(sent) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_cancels_the_job_of_the_service(quick: Served, slow_photo: Path, tmp_path: Path) -> None:
    output, before = tmp_path / "loop.mp4", kept(quick)
    command = [sys.executable, "-m", "stylecine", "animate", str(slow_photo), "--server", quick.address]
    process = subprocess.Popen(
        [*command, "--seconds", "50", "-o", str(output)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: any('state="running"' in line and "animations" in line for line in kept(quick)))
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and error.startswith("stylecine: Interrupted") and not list(tmp_path.glob("loop*"))
    assert kept(quick) == before
