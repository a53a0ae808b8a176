"""The tools of agents, called by the protocol's own client, in a process of their own and in this one."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylecine.cli import main
from stylecine.options import FILE_OPTIONS, OPTIONS
from stylecine.output.video import read_video

mcp = pytest.importorskip("mcp", reason="mcp is not installed")
client = pytest.importorskip("mcp.client")
agent = pytest.importorskip("stylecine.server.agent")

QUICK = {"seconds": 0.4, "fps": 10}


def calling(server: Any, calls: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with client.Client(server) as agent_client:
            return await calls(agent_client)

    return asyncio.run(run())


@pytest.fixture
def tools(small_model: Path) -> Callable[..., Any]:
    """Calls a tool of a server in this process."""
    server = agent.agent_server(str(small_model))
    return lambda name, **arguments: calling(server, lambda one: one.call_tool(name, arguments))


def said(result: Any) -> str:
    (content,) = result.content
    return str(content.text)


@pytest.mark.slow
def test_an_agent_animates_a_photo_from_end_to_end(photo_file: Path, small_model: Path, tmp_path: Path) -> None:
    output, seen = tmp_path / "loop.mp4", []
    command = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "stylecine", "mcp", "--model", str(small_model)], env=dict(os.environ)
    )

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async def calls(one: Any) -> tuple[Any, Any]:
        listed = await one.list_tools()
        arguments = {"photo": str(photo_file), "output": str(output), "weather": "snow", **QUICK}
        return listed, await one.call_tool("animate", arguments, progress_callback=told)

    listed, result = calling(command, calls)
    assert [tool.name for tool in listed.tools] == ["animate", "render", "explain"]
    assert not result.is_error, said(result)
    assert json.loads(said(result)) == result.structured_content
    assert result.structured_content["output"] == str(output.resolve()) and result.structured_content["frames"] == 4
    assert len(read_video(output, 4)[0]) == 4 and seen == sorted(seen) and seen[-1] > 0.5


def test_its_tools_take_the_options_of_the_command_line() -> None:
    schema = agent.TOOLS["animate"].described.input_schema["properties"]
    assert {name for name, option in (OPTIONS | FILE_OPTIONS).items() if option["served"]} <= {*schema}
    assert schema["seconds"]["default"] == 4 and schema["pace"]["enum"] == ["calm", "natural", "lively"]
    assert agent.TOOLS["animate"].described.input_schema["required"] == ["photo", "output"]


def test_a_loop_of_a_scene_and_a_page(
    tools: Callable[..., Any], photo: np.ndarray, animator: Any, tmp_path: Path
) -> None:
    animator.invert(photo).save(tmp_path / "a.cine")
    made = tools("render", scene=str(tmp_path / "a.cine"), output=str(tmp_path / "a.gif"), weather="rain", **QUICK)
    assert not made.is_error, said(made)
    assert Path(made.structured_content["output"]).stat().st_size == made.structured_content["bytes"]
    page = tools("explain", photo=str(tmp_path / "a.cine"), output=str(tmp_path / "a.html"), weather="rain", **QUICK)
    assert not page.is_error and (tmp_path / "a.html").read_text().startswith("<!doctype html>"), said(page)


def test_what_goes_wrong_is_a_sentence_and_leaves_nothing(
    tools: Callable[..., Any], photo_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    still, cut = tmp_path / "still.png", tmp_path / "cut.jpg"
    Image.new("RGB", (96, 72), (90, 80, 70)).save(still)
    cut.write_bytes(photo_file.read_bytes()[:200])
    output = str(folder / "loop.mp4")
    for arguments, says in (
        ({"photo": str(still), "output": output}, "seems to move"),
        ({"photo": str(cut), "output": output}, "copy or download it again|cannot be read"),
        ({"photo": str(tmp_path / "none.jpg"), "output": output}, "no photo|does not exist"),
        ({"photo": str(photo_file), "output": str(folder / "loop.xyz")}, "does not end in"),
        ({"photo": str(photo_file), "output": output, "pace": "quick"}, "pace"),
        ({"photo": str(photo_file), "output": output, "sped": 2}, "sped"),
        ({"photo": str(photo_file)}, "output"),
        ({"photo": str(photo_file), "output": str(photo_file), "size": 64}, "is the photo itself"),
    ):
        result = tools("animate", **arguments)
        text = said(result)
        assert result.is_error and re.search(says, text), text
        assert "\n" not in text and text.endswith(".") and not os.listdir(folder)
    assert tools("dance").is_error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_is_a_sentence_too(
    tools: Callable[..., Any], photo_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = tools("animate", photo=str(photo_file), output=str(tmp_path / "loop.gif"), weather="fog", **QUICK)
    assert result.is_error and "no space left" in said(result).lower() and not (tmp_path / "loop.gif").exists()


def test_without_its_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "stylecine.server.agent", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 2 and "pip install 'stylecine[mcp]'" in capsys.readouterr().err


def test_a_call_waits_for_one_that_was_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose work stops at its next progress, and may be about to write."""
    running, most = [], []

    def run(request: dict[str, Any], model: str, progress: Any) -> dict[str, Any]:
        running.append(1)
        most.append(len(running))
        for _ in range(20):
            time.sleep(0.02)
            if not progress("plate", 0, 1) and len(most) == 1:
                time.sleep(0.1)
                break
        running.pop()
        return {"output": "done"}

    tool = replace(agent.TOOLS["render"], run=run)
    monkeypatch.setitem(agent.TOOLS, "render", tool)
    arguments = {"scene": "a.cine", "output": "a.gif"}

    async def calls(one: Any) -> Any:
        first = asyncio.ensure_future(one.call_tool("render", arguments))
        await asyncio.sleep(0.1)
        first.cancel()
        return await one.call_tool("render", arguments)

    assert not calling(agent.agent_server(), calls).is_error and max(most) == 1 and len(most) == 2
