"""Attacks: wrong names, origins and tokens, endless bodies, ids that are paths."""

import asyncio
import re
import select
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from stylecine.server import launch, security
from tests.server.conftest import Served, wait_until

TOKEN = "a-token-nobody-guesses"


def is_problem(response: httpx.Response, status: int) -> bool:
    kind, problem = response.headers["content-type"], response.json()
    facts = (response.status_code, kind, problem["status"])
    return facts == (status, "application/problem+json", status) and problem["detail"].endswith(".")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1"])
def test_an_unknown_host_name_is_refused(quick: Served, host: str) -> None:
    assert is_problem(quick.client.get("/health", headers={"Host": host}), 421)


@pytest.mark.parametrize(
    "host",
    [
        *("user@127.0.0.1", "user:word@localhost:80", "127.0.0.1#x", "localhost?x", "localhost/", "//localhost"),
        *("localhost:x", "localhost:80:80", "evil.example,localhost", "evil.example localhost", "local%68ost"),
        *("[::1", "::1"),
    ],
)
def test_a_host_that_is_more_than_a_name_is_malformed(quick: Served, host: str) -> None:
    assert is_problem(quick.client.get("/health", headers={"Host": host}), 400)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "LOCALHOST:80", "[::1]:80"])
def test_known_host_names_are_accepted(quick: Served, host: str) -> None:
    assert quick.client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost"},
    ],
)
def test_other_sites_may_not_change_anything(quick: Served, headers: dict[str, str]) -> None:
    assert is_problem(quick.client.post("/v1/scenes", content=b"x", headers=headers), 403)
    assert quick.client.get("/health", headers=headers).status_code == 200


def test_our_own_page_may(quick: Served) -> None:
    headers = {"Origin": quick.address, "Sec-Fetch-Site": "same-origin"}
    response = quick.client.post("/v1/scenes", content=b"bad", headers=headers)
    assert is_problem(response, 422)
    assert "access-control-allow-origin" not in response.headers


def test_a_token_is_required_if_there_are_any(serve: Callable[..., Served]) -> None:
    served = serve(TOKEN)
    assert served.client.get("/health").status_code == 200
    for value in (None, "", TOKEN, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe4"):
        headers = {} if value is None else {"Authorization": value.encode("latin-1")}
        for path in ("/v1/scenes/x", "/metrics", "/openapi.json", "/nothing"):
            response = served.client.get(path, headers=headers)
            assert is_problem(response, 401) and response.headers["www-authenticate"] == "Bearer"
    known = {"Authorization": f"bearer {TOKEN}"}
    assert served.client.post("/v1/scenes", content=b"x", headers=known).status_code == 201
    assert served.client.get("/openapi.json", headers=known).json()["security"] == [{"token": []}]


def chunks(size: int, pause: float = 0) -> Iterator[bytes]:
    while size > 0:
        yield bytes(min(size, 100_000))
        size -= 100_000
        time.sleep(pause)


@pytest.mark.slow
def test_a_body_that_is_too_large_or_too_slow_is_refused_and_leaves_nothing(serve: Callable[..., Served]) -> None:
    served = serve(upload_mb=1, timeout=1.5)
    assert is_problem(served.client.post("/v1/scenes", content=bytes(1_000_001)), 413)
    assert is_problem(served.client.post("/v1/scenes", content=chunks(1_000_001)), 413)
    assert is_problem(served.client.post("/v1/animations", content=chunks(5_000_000)), 413)
    assert is_problem(served.client.post("/v1/scenes/none/styles", content=bytes(1_000_001)), 413)
    assert served.client.post("/v1/scenes", content=chunks(1_000_000)).status_code == 201
    assert len(served.files()) == 1
    too_slow(served)
    assert len(served.files()) == 1


def raw(served: Served, *parts: bytes) -> bytes:
    """The response to bytes that are sent one part after another."""
    host, port = served.address.removeprefix("http://").split(":")
    response = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65536):
            response += chunk
    return response


def too_slow(served: Served) -> None:
    head = b"POST /v1/scenes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    response = raw(served, head, b"half")
    assert response.startswith(b"HTTP/1.1 408") and b"application/problem+json" in response
    assert raw(served, head.split(b"Content")[0]) == b""
    json = head.replace(b"scenes", b"animations").replace(b"Host", b"Content-Type: application/json\r\nHost")
    assert raw(served, json, b"{").startswith(b"HTTP/1.1 408")


def test_the_service_stops_without_waiting_for_a_stalled_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(security, "SEND_TIMEOUT", 0.01)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    guard = security.SecurityMiddleware(app, None, (), 1)
    asyncio.run(asyncio.wait_for(guard(scope, asyncio.Event().wait, send), 5))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(body: bytes) -> AsyncIterator[tuple[ServerState, socket.socket]]:
    """A server with the service's middleware that sends a body in one message, and a client with small buffers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        security.SecurityMiddleware(app, None, (), 1), lifespan="off", log_level="critical", timeout_keep_alive=0
    )
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        server = await loop.create_server(lambda: launch._Protocol(config, state, {}), sock=listener)
        client.setblocking(False)
        await loop.sock_connect(client, listener.getsockname())
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield state, client
        server.close()


@pytest.mark.parametrize("size", [5_000_000, 120_000])  # more than the buffers hold, and less
def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(security, "SEND_TIMEOUT", 0.3)

    async def run() -> None:
        async with asyncio.timeout(20), serving(bytes(size)) as (state, _):
            most = 0
            while not most:
                await asyncio.sleep(0.01)
                most = max((one.transport.get_write_buffer_size() for one in state.connections), default=0)
            assert most < 4 * security.PART
            while state.connections:
                await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_slow_reader_gets_the_whole_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "SEND_TIMEOUT", 5)
    body = bytes(range(250)) * 2000

    async def run() -> None:
        async with asyncio.timeout(20), serving(body) as (_, client):
            got = b""
            while len(got) < len(body) or not got.endswith(body[-250:]):
                got += await asyncio.get_running_loop().sock_recv(client, 10_000)
                await asyncio.sleep(0.01)
            assert got.partition(b"\r\n\r\n")[2] == body

    asyncio.run(run())


HALF = b"POST /v1/scenes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"


@pytest.mark.slow
def test_uploads_in_progress_are_counted(quick: Served) -> None:
    before = quick.files()
    host, port = quick.address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(HALF)
        wait_until(lambda: len(quick.files()) == len(before) + 64)
        response = quick.client.post("/v1/scenes", content=b"a photo")
        assert is_problem(response, 429) and "64 others are being sent" in response.json()["detail"]
    wait_until(lambda: quick.files() == before)


@pytest.mark.slow
def test_stalled_uploads_give_way_to_others(quick: Served) -> None:
    before = quick.files()
    host, port = quick.address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(64)]
        for connection in stalled:
            connection.sendall(HALF)
        wait_until(lambda: len(quick.files()) == len(before) + 64)
        wait_until(lambda: quick.client.post("/v1/scenes", content=b"a photo").status_code == 201)
        ended, _, _ = select.select(stalled, [], [], 5)
        assert [connection.recv(12) for connection in ended] == [b"HTTP/1.1 408"]


def opened(served: Served, stack: ExitStack, count: int, content: bytes) -> list[socket.socket]:
    """So many connections, on each of which that is sent."""
    host, port = served.address.removeprefix("http://").split(":")
    sockets = [stack.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(count)]
    for one in sockets:
        one.sendall(content)
    return sockets


@pytest.mark.slow
def test_connections_that_only_wait_keep_nobody_out(serve: Callable[..., Served]) -> None:
    """They send the first 13 bytes of a header, without a token, and nothing more."""
    served = serve(TOKEN, connections=20)
    with ExitStack() as stack, httpx.Client(base_url=served.address, timeout=60) as other:
        waiting = opened(served, stack, 50, b"GET / HTTP/1.")
        assert other.get("/health").status_code == 200
        assert other.get("/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        ended, _, _ = select.select(waiting, [], [], 5)
        assert set(ended) < set(waiting) and waiting[0] in ended and waiting[-1] not in ended


@pytest.mark.slow
def test_more_requests_than_can_be_answered_leave_room_for_a_monitor(serve: Callable[..., Served]) -> None:
    served = serve(connections=20)
    with ExitStack() as stack:
        opened(served, stack, 21, HALF)
        wait_until(lambda: len(served.files()) >= 20)
        crowded = served.client.get("/openapi.json")
        assert is_problem(crowded, 503) and crowded.headers["retry-after"] == "2"
        assert served.client.get("/health").status_code == served.client.get("/ready").status_code == 200
    wait_until(lambda: served.client.get("/openapi.json").status_code == 200)


def test_a_body_of_two_lengths_is_refused(quick: Served) -> None:
    """A proxy may read the one and the service the other (request smuggling, RFC 9112, 6.1)."""
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
    response = raw(quick, b"POST /v1/scenes HTTP/1.1\r\nHost: localhost\r\n" + both)
    assert response.startswith(b"HTTP/1.1 400") and b"Content-Length" in response


def test_edits_have_a_known_kind_and_a_bounded_length(quick: Served) -> None:
    link = quick.scene()["links"]["self"]

    def patch(*edits: Any) -> httpx.Response:
        return quick.client.patch(link, json={"edits": edits})

    odd = patch({"kind": "dance"})
    assert is_problem(odd, 422) and odd.json()["detail"].startswith("body.edits.0: an edit is of kind paint, push")
    assert is_problem(patch({"kind": "speed", "what": "cloth", "factor": 2}), 422)  # its speed is that of the wind
    long = {"kind": "speed", "factor": 2, "stroke": [[0.5, 0.5]] * 10_000}
    assert patch(long, long).status_code == 200
    assert is_problem(patch(long, long, long), 422)
    assert quick.client.get(link).json()["edits"][1]["stroke"] == long["stroke"]
    assert quick.client.delete(link).status_code == 204


def test_an_aborted_upload_leaves_nothing(quick: Served) -> None:
    before = quick.files()
    host, port = quick.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(HALF)
        wait_until(lambda: len(quick.files()) > len(before))
    wait_until(lambda: quick.files() == before)


@pytest.mark.parametrize(
    "id",
    ["..%2f..%2fetc%2fpasswd", "....", "%00", "a" * 5000, "store.sqlite", "%2e%2e", "ä", "'; DROP TABLE scenes; --"],
)
@pytest.mark.parametrize(
    "path", ["/v1/scenes/{}", "/v1/scenes/{}/photo", "/v1/animations/{}", "/v1/animations/{}/result"]
)
def test_an_id_is_never_a_path(quick: Served, path: str, id: str) -> None:
    response = quick.client.get(path.format(id))
    assert is_problem(response, 404)


def test_every_other_error_is_a_problem_too(quick: Served) -> None:
    client = quick.client
    assert is_problem(client.get("/nothing"), 404)
    refused = client.put("/v1/scenes/x", content=b"x")
    assert "This address does not accept PUT; " in refused.text
    assert is_problem(refused, 405) and refused.headers["allow"] == "DELETE, GET, HEAD, PATCH"
    assert is_problem(client.post("/v1/scenes?size=9", content=b"x"), 422)
    assert is_problem(client.post("/v1/scenes?size=4096", content=b"x"), 422)
    assert is_problem(client.post("/v1/scenes", files={"photo": b"x"}), 415)
    for body in (b"{", b"[]", b'{"scene": NaN}', b"\xff\xfe", b"[" * 100_000):
        response = client.post("/v1/animations", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422) and is_problem(response, response.status_code)


def test_every_response_has_security_headers(quick: Served) -> None:
    for path in ("/health", "/nothing", "/openapi.json"):
        headers = quick.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert (
            "default-src 'none'" in headers["content-security-policy"]
            and "unsafe" not in headers["content-security-policy"]
        )
        assert "server" not in headers


def test_the_openapi_description_is_complete(quick: Served) -> None:
    schema: dict[str, Any] = quick.client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    named = set(re.findall(r'"#/components/schemas/(\w+)"', quick.client.get("/openapi.json").text))
    assert named <= set(schema["components"]["schemas"])
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"] and operation["description"], (method, path)
            for status, response in operation["responses"].items():
                problem = status == "default"
                assert problem == ("application/problem+json" in response.get("content", {})), (method, path, status)


def test_metrics_for_prometheus(quick: Served) -> None:
    quick.client.get("/health")
    quick.client.get("/v1/scenes/none")
    text = quick.client.get("/metrics").text
    assert re.search(r'stylecine_requests_total\{method="GET",route="/health",status="200"\} \d+', text)
    assert re.search(r'stylecine_requests_total\{method="GET",route="/v1/scenes/\{id\}",status="404"\} \d+', text)
    assert 'stylecine_workers{pool="animations",state="idle"} 1.0' in text


def test_methods_that_a_client_makes_up_are_no_labels(quick: Served) -> None:
    assert quick.client.request("BREW", "/v1/scenes/none").status_code == 405
    assert "BREW" not in quick.client.get("/metrics").text
