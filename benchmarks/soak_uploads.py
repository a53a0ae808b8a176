"""What a stranger may send to the service: `make soak`, or python -m benchmarks.soak_uploads --cases 10000

Damaged photos (JPEG, PNG, WebP, HEIC) and .cine files are uploaded: each has to be refused with a 4xx problem or to
become a scene, without the death of a worker or a file that remains. Then paths that lead outside, slow and oversized
requests, decompression bombs, foreign hosts and origins: refused, in time. The model is small and has random weights,
since only decoding matters here. No other machine is contacted. Writes benchmarks/results/soak_uploads.json.
"""

import io
import re
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pillow_heif
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz_cine import REPRODUCIBLE, archive, damaged, small_scene
from benchmarks.machine import ROOT, machine
from benchmarks.served import Served, encode, finish, small_photo
from benchmarks.small_model import write_small_model
from benchmarks.tables import command_line
from stylecine.edits.scene_file import pack

PLAYER = "/player/player.js"
PATHS = (
    "/v1/scenes/../../../etc/passwd",
    "/v1/scenes/..%2f..%2f..%2fetc%2fpasswd/photo",
    "/../etc/passwd",
    "//etc/passwd",
    "/%00",
    "/v1/scenes/%2e%2e/file",
    "/v1/scenes/%2fetc%2fpasswd/photo",
    "/v1/animations/..%5c..%5cstore.sqlite/result",
    "/studio/../../cli.py",
    "/studio/%2e%2e/%2e%2e/cli.py",
    "/studio//etc/passwd",
    "/player/..%2f..%2fcli.py",
    "/player/..%5ccli.py",
    "/player/%2e%2e/server/app.py",
    "/player/%00",
)
REFUSED = range(400, 500)
CLOSED = 0  # instead of a status: the connection was closed without a response
SENDERS = 8  # at a time
TIME_LIMIT = 60.0  # seconds in which everything has to be refused
LARGE = 30_000  # pixels

Address = tuple[str, int]
Kind = tuple[str, bytes]  # its name, and a file


def main() -> None:
    parser = command_line(__doc__, "soak_uploads")
    parser.add_argument("--cases", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_small_model(folder / "model")
        with Served(folder / "data", model=str(model), workers=4) as served:
            uploads = send_damaged_files(served, options.cases)
            problems = served.problems()
            hostile = send_hostile_requests(served)
            problems += served.problems() + served.error_output()
    studio = request_paths_of_studio()
    problems += [
        f"{name}: {case}"
        for name, case in hostile.items()
        if case["status"] not in (CLOSED, *REFUSED) or case["seconds"] > TIME_LIMIT
    ]
    problems += [f"studio, {path}: {status}" for path, status in studio.items() if (status == 200) != (path == PLAYER)]
    result = {"machine": machine(), "uploads": uploads, "hostile": hostile, "studio": studio}
    finish(options.out, result, problems)


# --- damaged uploads


def send_damaged_files(served: Served, cases: int) -> dict[str, Any]:
    """AssertionError for a response that is neither a scene nor a refusal."""
    statuses, seconds = Counter[str](), [0.0]
    start, memory = time.monotonic(), served.megabytes()
    with (
        httpx.Client(base_url=served.address, timeout=TIME_LIMIT) as http,
        ThreadPoolExecutor(SENDERS) as senders,
    ):

        def send(file: Kind) -> int:
            begun = time.monotonic()
            status = upload(http, file[1])
            seconds.append(time.monotonic() - begun)
            return status

        @settings(REPRODUCIBLE, max_examples=-(-cases // SENDERS), deadline=None)
        @given(st.lists(damaged_files(whole_files()), min_size=SENDERS, max_size=SENDERS))
        def are_refused_or_become_scenes(files: list[Kind]) -> None:
            for (kind, _), status in zip(files, senders.map(send, files), strict=True):
                statuses[f"{kind} {status}"] += 1
                assert status == 201 or status in REFUSED, f"{kind}: {status}"

        are_refused_or_become_scenes()
    return {
        "cases": sum(statuses.values()),
        "minutes": round((time.monotonic() - start) / 60, 1),
        "slowest_seconds": round(max(seconds), 2),
        "statuses": dict(sorted(statuses.items())),
        "memory_mb": [round(memory, 1), round(served.megabytes(), 1)],
    }


def upload(http: httpx.Client, content: bytes) -> int:
    """Uploads a file: 201 if it becomes a scene, which is deleted, or the status of the problem."""
    while (response := http.post("/v1/scenes?size=64&wait=30", content=content)).status_code == 429:
        time.sleep(float(response.headers.get("Retry-After", 1)))
    if response.status_code not in (201, 202):
        return response.status_code
    scene = response.json()
    while scene["state"] in ("queued", "running"):
        scene = http.get(f"/v1/scenes/{scene['id']}?wait=30").json()
    http.delete(f"/v1/scenes/{scene['id']}")
    return 201 if scene["state"] == "ready" else int(scene["problem"]["status"])


@st.composite
def damaged_files(draw: st.DrawFn, files: dict[str, bytes]) -> Kind:
    """A file with a few changes, or cut off, or spliced with another."""
    kind, other = draw(st.sampled_from(sorted(files))), draw(st.sampled_from(sorted(files)))
    content, way = files[kind], draw(st.integers(0, 9))
    if way > 1:
        return kind, draw(damaged(content))
    cut = content[: draw(st.integers(0, len(content) - 1))]
    return kind, cut if way else cut + files[other][draw(st.integers(0, len(files[other]))) :]


def whole_files() -> dict[str, bytes]:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 90, "exif": exif},
        "PNG": {"exif": exif},
        "WEBP": {"quality": 80},
        "HEIF": {"quality": 80},
    }
    photos = {kind: small_photo("sea", kind, side=120, **more) for kind, more in options.items()}
    return photos | {"CINE": archive(pack(small_scene()))}


# --- hostile requests


def send_hostile_requests(served: Served) -> dict[str, Any]:
    """Each case's status and seconds."""
    cases = {}
    for name, send in hostile_requests(served):
        start = time.monotonic()
        status = send()
        cases[name] = {"status": status, "seconds": round(time.monotonic() - start, 2)}
    return cases


def hostile_requests(served: Served) -> Iterator[tuple[str, Callable[[], int]]]:
    """Names, and functions that return the status."""
    host, port = served.address.removeprefix("http://").split(":")
    address = host, int(port)

    def raw(request: bytes, **more: Any) -> Callable[[], int]:
        return lambda: raw_status(address, request, **more)

    def post(path: str, body: bytes, **headers: str) -> Callable[[], int]:
        url = served.address + path
        return lambda: httpx.post(url, content=body, headers=headers, timeout=TIME_LIMIT).status_code

    for path in PATHS:
        yield f"path {path}", raw(get(address, path))
    start = f"POST /v1/scenes HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n".encode()
    yield "slow header", raw(start, repeat=b"X-A: b\r\n")
    yield "slow body", raw(start + b"Content-Length: 1000000\r\n\r\n", repeat=b"x")
    yield "missing body", raw(start + b"Content-Length: 1000000\r\n\r\n")
    yield "body of 10 GB, announced", raw(start + b"Content-Length: 10000000000\r\n\r\n")
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    yield "endless body", raw(start + b"Transfer-Encoding: chunked\r\n\r\n", repeat=chunk, pause=0.001)
    yield "negative length", raw(start + b"Content-Length: -1\r\n\r\n")
    yield "header of 1 MB", raw(get(address, "/health", "X-A: " + "b" * 1_000_000))
    yield "not HTTP", raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    yield "foreign host", raw(get(("example.org", 80), "/health"))
    yield "foreign origin", post("/v1/scenes", b"x", Origin="https://example.org")
    for name, content in bombs():
        yield f"bomb {name}", post("/v1/scenes?wait=60&size=64", content)
    for name, content in {"deep": b"[" * 2_000_000, "infinite": b'{"seconds": 1e999}', "text": b"\xff\xfe"}.items():
        yield f"JSON {name}", post("/v1/animations", content, **{"Content-Type": "application/json"})
    yield "nothing", post("/v1/scenes", b"")


def request_paths_of_studio() -> dict[str, int]:
    """The statuses of the same paths on a studio, which serves files, and of one that it has."""
    command = [sys.executable, "-m", "stylecine", "studio", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://([^:]+):(\d+)", process.stdout.readline())
            assert found, "the studio does not start"
            address = found[1], int(found[2])
            return {path: raw_status(address, get(address, path)) for path in (PLAYER, *PATHS)}
        finally:
            process.terminate()


def get(address: Address, path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def raw_status(address: Address, request: bytes, *, repeat: bytes = b"", pause: float = 1.0) -> int:
    """The status of the response, or CLOSED; 999 without either. repeat: sent again after every pause, in seconds."""
    response, end = b"", time.monotonic() + 2 * TIME_LIMIT
    with socket.create_connection(address, timeout=1) as connection, suppress(ConnectionError):
        connection.sendall(request)
        while time.monotonic() < end:
            with suppress(TimeoutError):
                connection.sendall(repeat)
            connection.settimeout(pause)
            try:
                more = connection.recv(4096)
            except TimeoutError:
                continue
            response += more
            if not more or b"\r\n\r\n" in response:
                break
        else:
            return 999
    assert b"root:" not in response
    found = re.match(rb"HTTP/1\.[01] (\d+)", response)
    return int(found[1]) if found else CLOSED


# --- decompression bombs


def bombs() -> Iterator[Kind]:
    """Small files of large images."""
    yield "PNG", large_png(LARGE, LARGE)
    yield "PNG of one row", large_png(2**31 - 1, 1)
    tiff = encode(Image.new("1", (LARGE, 8)), "TIFF", compression="group4")
    yield "TIFF", tiff.replace(np.uint16(8).tobytes() + b"\0\0", np.uint16(65535).tobytes() + b"\0\0")
    jpeg = bytearray(encode(Image.new("RGB", (64, 64)), "JPEG"))
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = b"\xff\xff\xff\xff"
    yield "JPEG", bytes(jpeg)
    yield "GIF", b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;"
    members = pack(small_scene())
    name = next(name for name in members if name.endswith(".png"))
    yield ".cine with a PNG bomb", archive(members | {name: large_png(LARGE, LARGE)})
    yield ".cine with a gigabyte of zeros", archive_with_zeros(members, name)


def large_png(width: int, height: int) -> bytes:
    """Black, one bit per pixel; without content where rows are too long to write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    compressor = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(compressor.compress(row) for _ in range(height) if width <= LARGE) + compressor.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def archive_with_zeros(members: dict[str, bytes], name: str) -> bytes:
    """The archive, whose member of that name decompresses to a gigabyte."""
    file = io.BytesIO(archive({other: content for other, content in members.items() if other != name}))
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as container,
        container.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(1024):
            member.write(bytes(1 << 20))
    return file.getvalue()


if __name__ == "__main__":
    main()
