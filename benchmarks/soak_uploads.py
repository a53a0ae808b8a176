"""What a stranger may send to the service: `make soak`, or python -m benchmarks.soak_uploads --cases 10000

Photos (JPEG, PNG, WebP, HEIC) and .cine files with bytes changed, cut, doubled, swapped or put in are uploaded: each
has to be refused in a problem of 4xx, or become a scene; no worker may die of it, and no file be left. Then paths that
lead elsewhere, slow and oversized requests, bombs, foreign hosts and origins: refused, in time. The model is a
small one with random weights, since what is decoded matters here and not what is found in it. Only this machine is
talked to. Into benchmarks/results/soak_uploads.json.
"""

import argparse
import asyncio
import io
import json
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
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.fuzz_cine import mutated, small_scene
from benchmarks.machine import ROOT, machine
from benchmarks.served import Served
from benchmarks.small_model import write_small_model
from benchmarks.tables import write
from stylecine.edits.scene_file import pack

RESULT = ROOT / "benchmarks/results/soak_uploads.json"
PATHS = (
    *("/v1/scenes/../../../etc/passwd", "/v1/scenes/..%2f..%2f..%2fetc%2fpasswd/photo", "/../etc/passwd"),
    *("/v1/scenes/%2e%2e/file", "/v1/animations/..%5c..%5cstore.sqlite/result", "//etc/passwd", "/%00"),
    *(
        "/v1/scenes/%2fetc%2fpasswd/photo",
        "/studio/../../cli.py",
        "/studio/%2e%2e/%2e%2e/cli.py",
        "/studio//etc/passwd",
    ),
    *("/player/..%2f..%2fcli.py", "/player/..%5ccli.py", "/player/%2e%2e/server/app.py", "/player/%00"),
)
REFUSED = range(400, 500)
SENDERS = 8  # at once
SLOWEST = 60.0  # seconds that the refusal of anything may take


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--out", type=Path, default=RESULT)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_small_model(folder / "model")
        with Served(folder / "data", model=str(model), workers=4) as served:
            result: dict[str, Any] = {
                "machine": machine(),
                "uploads": asyncio.run(uploads(served, given.cases)),
                "hostile": hostile(served),
                "complaints": served.complaints(),
            }
    result["studio"] = studio()
    write(given.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    if any(result[part]["wrong"] for part in ("uploads", "hostile", "studio")) or result["complaints"]:
        sys.exit("not as it has to be")


# --- mutated uploads


async def uploads(served: Served, cases: int) -> dict[str, Any]:
    files, waiting = whole_files(), iter(range(cases))
    answers: Counter[str] = Counter()
    wrong: list[str] = []
    before, start, slowest = served.megabytes(), time.monotonic(), 0.0

    async def send(http: httpx.AsyncClient) -> None:
        nonlocal slowest
        for case in waiting:
            kind, content = damaged(files, Random(case))
            asked = time.monotonic()
            try:
                status = await answer_to(http, content)
            except httpx.TransportError as error:
                wrong.append(f"case {case}, {kind}: {type(error).__name__}")
                continue
            slowest = max(slowest, time.monotonic() - asked)
            answers[f"{kind} {status}"] += 1
            if status not in (201, *REFUSED):
                wrong.append(f"case {case}, {kind}: {status}")

    async with httpx.AsyncClient(base_url=served.address, timeout=SLOWEST) as http:
        await asyncio.gather(*(send(http) for _ in range(SENDERS)))
        metrics = (await http.get("/metrics")).text
    deaths = sum(float(n) for n in re.findall(r"^stylecine_worker_restarts_total\S* (\S+)$", metrics, re.MULTILINE))
    left = left_files(served)
    wrong += [f"{deaths:g} workers died"] if deaths else []
    wrong += [f"files are left: {left[:5]}"] if left else []
    return {
        "cases": cases,
        "minutes": round((time.monotonic() - start) / 60, 1),
        "slowest_seconds": round(slowest, 2),
        "answers": dict(sorted(answers.items())),
        "workers_died": deaths,
        "files_left": len(left),
        "memory_mb": [round(before, 1), round(served.megabytes(), 1)],
        "wrong": wrong[:20],
    }


async def answer_to(http: httpx.AsyncClient, content: bytes) -> int:
    """What becomes of an upload: 201 if it is a scene at last, which is removed, or the status of the problem."""
    while True:
        answer = await http.post("/v1/scenes?size=64&wait=30", content=content)
        if answer.status_code != 429:
            break
        await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
    if answer.status_code not in (201, 202):
        return answer.status_code
    scene = answer.json()
    while scene["state"] in ("queued", "running"):
        scene = (await http.get(f"/v1/scenes/{scene['id']}?wait=30")).json()
    await http.delete(f"/v1/scenes/{scene['id']}")
    return 201 if scene["state"] == "ready" else int(scene["problem"]["status"])


def damaged(files: dict[str, bytes], random: Random) -> tuple[str, bytes]:
    """A file with a few changes, mostly in its first part, where headers are; or two files spliced."""
    kind = random.choice(list(files))
    content = files[kind]
    if random.random() < 0.1:
        other = files[random.choice(list(files))]
        return kind, content[: random.randrange(len(content))] + other[random.randrange(len(other)) :]
    if random.random() < 0.1:
        return kind, content[: random.randrange(len(content))]
    head = min(len(content), random.choice((64, 512, 4096, len(content))))
    return kind, mutated(content[:head], random) + content[head:]


def whole_files() -> dict[str, bytes]:
    pillow_heif.register_heif_opener()
    with Image.open(ROOT / "examples/sea.jpg") as photo:
        photo.thumbnail((120, 90))
        small = photo.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 90, "exif": exif},
        "PNG": {"exif": exif},
        "WEBP": {"quality": 80},
        "HEIF": {"quality": 80},
    }
    return {kind: _encoded(small, kind, **more) for kind, more in kinds.items()} | {
        "CINE": _archive(pack(small_scene()))
    }


def _encoded(picture: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def _archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def left_files(served: Served) -> list[str]:
    """What lies in the service's folders, once it has had a moment to tidy up."""
    end = time.monotonic() + 10
    while served.files() and time.monotonic() < end:
        time.sleep(0.1)
    return sorted(str(path.relative_to(served.data)) for path in served.files())


# --- what is hostile


def hostile(served: Served) -> dict[str, Any]:
    """Each case with the status it is answered with, 0 where the line is cut, and the seconds that takes."""
    told: dict[str, Any] = {}
    wrong: list[str] = []
    for name, case in cases(served):
        start = time.monotonic()
        status = case()
        seconds = time.monotonic() - start
        told[name] = {"status": status, "seconds": round(seconds, 2)}
        if status not in (0, *REFUSED) or seconds > SLOWEST:
            wrong.append(f"{name}: {status} after {seconds:.1f} s")
    with httpx.Client(base_url=served.address, timeout=60) as http:
        wrong += [] if http.get("/health").status_code == 200 else ["the service is gone"]
        found = re.findall(r"^stylecine_worker_restarts_total\S* (\S+)$", http.get("/metrics").text, re.MULTILINE)
        wrong += ["a worker died"] if any(float(number) for number in found) else []
    left = left_files(served)
    wrong += [f"files are left: {left[:5]}"] if left else []
    return {"cases": told, "files_left": len(left), "wrong": wrong}


def cases(served: Served) -> Iterator[tuple[str, Callable[[], int]]]:
    host, port = served.address.removeprefix("http://").split(":")
    place = host, int(port)

    def raw(request: bytes, **more: Any) -> Callable[[], int]:
        return lambda: _said_to(place, request, **more)

    def get(path: str, *headers: str) -> Callable[[], int]:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers]
        return raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    def post(path: str, body: bytes, *headers: str) -> Callable[[], int]:
        told = dict(header.split(": ") for header in headers)
        return lambda: httpx.post(served.address + path, content=body, headers=told, timeout=SLOWEST).status_code

    for path in PATHS:
        yield f"path {path}", get(path)
    head = f"POST /v1/scenes HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n".encode()
    yield "slow header", raw(head, slowly=b"X-A: b\r\n")
    yield "slow body", raw(head + b"Content-Length: 1000000\r\n\r\n", slowly=b"x")
    yield "no body after its length", raw(head + b"Content-Length: 1000000\r\n\r\n")
    yield "body of 10 GB, told", raw(head + b"Content-Length: 10000000000\r\n\r\n")
    yield "body without end, not told", raw(head + b"Transfer-Encoding: chunked\r\n\r\n", endlessly=True)
    yield "negative length", raw(head + b"Content-Length: -1\r\n\r\n")
    yield "header of 1 MB", get("/health", "X-A: " + "b" * 1_000_000)
    yield "no HTTP", raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    yield "foreign host", raw(b"GET /health HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
    yield "foreign origin", post("/v1/scenes", b"x", "Origin: https://example.org")
    for name, content in bombs():
        yield f"bomb {name}", post("/v1/scenes?wait=60&size=64", content)
    for name, content in {"deep": b"[" * 2_000_000, "infinite": b'{"seconds": 1e999}', "text": b"\xff\xfe"}.items():
        yield f"JSON {name}", post("/v1/animations", content, "Content-Type: application/json")
    yield "nothing", post("/v1/scenes", b"")


def studio() -> dict[str, Any]:
    """The same paths on a studio, which has files to give."""
    command = [sys.executable, "-m", "stylecine", "studio", "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://([^:]+):(\d+)", process.stdout.readline())
            assert found, "the studio does not start"
            place = found[1], int(found[2])
            line = f" HTTP/1.1\r\nHost: {place[0]}:{place[1]}\r\nConnection: close\r\n\r\n"
            told = {path: _said_to(place, f"GET {path}{line}".encode()) for path in ("/player/player.js", *PATHS)}
        finally:
            process.terminate()
    wrong = [f"{path}: {status}" for path, status in told.items() if (status == 200) != (path == "/player/player.js")]
    return {"cases": told, "wrong": wrong}


def _said_to(place: tuple[str, int], request: bytes, *, slowly: bytes = b"", endlessly: bool = False) -> int:
    """The status that a request is answered with; 0 if the line is cut instead. More of it is sent slowly, or fast."""
    answer, end = b"", time.monotonic() + 2 * SLOWEST
    with socket.create_connection(place, timeout=1) as line, suppress(ConnectionError):
        line.sendall(request)
        while time.monotonic() < end:
            if slowly:
                line.sendall(slowly)
            if endlessly:
                with suppress(TimeoutError):
                    line.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                line.settimeout(0.001)
            try:
                more = line.recv(4096)
            except TimeoutError:
                continue
            answer += more
            if not more or b"\r\n\r\n" in answer:
                break
        else:
            return 999
    assert b"root:" not in answer
    found = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(found[1]) if found else 0


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files of large pictures."""
    wide = 30_000
    yield "PNG", _png(wide, wide)
    yield "PNG of one row", _png(2**31 - 1, 1)
    with Image.new("1", (wide, 8)) as strip:
        tiff = _encoded(strip, "TIFF", compression="group4")
    yield "TIFF", tiff.replace(np.uint16(8).tobytes() + b"\0\0", np.uint16(65535).tobytes() + b"\0\0")
    jpeg = bytearray(_encoded(Image.new("RGB", (64, 64)), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    yield "JPEG", bytes(jpeg)
    yield "GIF", b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;"
    members = pack(small_scene())
    name = next(name for name in members if name.endswith(".png"))
    yield ".cine with a PNG bomb", _archive(members | {name: _png(wide, wide)})
    yield ".cine with a gigabyte of zeros", _zeros(members, name)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 30_000)) if len(row) < 10_000) + packer.flush()
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes((1, 0, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _zeros(members: dict[str, bytes], name: str) -> bytes:
    """The archive with one member of a gigabyte, a megabyte when packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in members.items():
            if other != name:
                archive.writestr(other, content)
        with archive.open(name, "w", force_zip64=True) as member:
            for _ in range(1024):
                member.write(bytes(1 << 20))
    return file.getvalue()


if __name__ == "__main__":
    main()
