"""The service's pages for people."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from stylecine.server.app import create_app
from stylecine.server.settings import Settings
from stylecine.version import __version__
from tests.server.conftest import Served


def get(folder: Path, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """A response of a service without workers, which pages do not need."""
    app = create_app(Settings(folder / "data"), **options)

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path)

    with ThreadPoolExecutor(1) as thread:  # in this one the browser's event loop may be running
        response = thread.submit(lambda: asyncio.run(request())).result()
    app.state.service.store.close()
    return response


def test_the_start_page_says_what_this_is_and_what_it_responds_to(tmp_path: Path) -> None:
    page = get(tmp_path, "/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"stylecine {__version__}" in page.text and "landscape photos into seamless video loops" in page.text
    assert "<a href=openapi.json>" in page.text and page.text == get(tmp_path, "/docs").text
    assert get(tmp_path, "/", "HEAD").status_code == 200


def test_the_docs_name_every_request_and_every_object(tmp_path: Path) -> None:
    text, schema = get(tmp_path, "/docs").text, get(tmp_path, "/openapi.json").json()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert f"<code>{method.upper()} {path}</code>" in text
            for parameter in operation.get("parameters", ()):
                assert f"<th scope=row>{parameter['name']}</th>" in text
    assert set(re.findall(r' id="(\w+)"', text)) == set(schema["components"]["schemas"])
    assert set(re.findall(r'href="?#(\w+)', text)) <= set(schema["components"]["schemas"])
    assert "<td>number above 0 to 3600; default 4.0</td><td>length of one loop</td>" in text
    assert "true or false; default false</td>" in text and "degrees and strength: plants" in text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_need_nothing_from_elsewhere_and_no_script(path: str, tmp_path: Path) -> None:
    page = get(tmp_path, path)
    assert not re.search(r"https?:|src=|<script|@import|url\(", page.text)
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)">', page.text)
    assert policy.startswith("default-src 'none'; style-src-elem 'sha256-") and "script-src" not in policy
    assert page.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert page.headers["x-frame-options"] == "DENY" and page.headers["x-content-type-options"] == "nosniff"
    assert get(tmp_path, path, tokens=["a-long-enough-token"]).status_code == 401


def test_the_studio_is_the_start_page_where_there_is_one(tmp_path: Path) -> None:
    assert get(tmp_path, "/studio/examples/sea.webp", studio=True).headers["content-type"] == "image/webp"
    assert "studio/" in get(tmp_path, "/", studio=True).text and "studio" not in get(tmp_path, "/docs").text
    assert "<a href='.'>The studio</a>" in get(tmp_path, "/docs", studio=True).text


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_browser_shows_them_in_their_style(browser: Any, quick: Served, path: str) -> None:
    page, complaints, requests = browser.new_page(), list[str](), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(quick.address + path)
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "960px"
    assert not [text for text in complaints if "favicon" not in text]
    assert {url.rpartition("/")[2] for url in requests} <= {path.strip("/"), "favicon.ico"}
    page.close()
