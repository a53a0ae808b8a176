"""The documentation agrees with the code: its programs run; its names, options, paths and links exist."""

import csv
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

import stylecine
from stylecine.cli import main
from stylecine.options import ALL_OPTIONS, OPTIONS, STYLES
from stylecine.output.codecs import CODECS
from stylecine.output.formats import ENDINGS, SERVED

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()
API = (REPOSITORY / "docs/api.md").read_text()
CLI = (REPOSITORY / "docs/cli.md").read_text()
COMMANDS = re.findall(r"^## `stylecine (\w+)", CLI, re.MULTILINE)
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/README.md", "examples/**/*.md",
                    "pretrained/recipes/*.md", "pretrained/cards/*.md")
    for page in REPOSITORY.glob(pattern)
)
BUILT = {"stylecine/lib"}  # not tracked


@pytest.fixture
def holiday(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small photo.jpg, where the reader's programs run."""
    with Image.open(REPOSITORY / "examples/sea.jpg") as photo:
        photo.resize((192, 120)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def section(page: str, title: str) -> str:
    """The text below the heading that begins with `title`, up to the next of its level."""
    found = re.search(rf"^(##+) {re.escape(title)}.*?\n(.*?)(?=^\1 |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {title!r}"
    return found[2]


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - {"--help"}


def test_the_readmes_python_runs(holiday: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {"__name__": "readme"})
    assert (holiday / "photo.mp4").stat().st_size > 0


def test_the_example_runs(
    holiday: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["animate.py", "photo.jpg", "loop.mp4"])
    runpy.run_path(str(REPOSITORY / "examples/animate.py"))
    assert "loop.mp4: 120 frames of 192x120" in capsys.readouterr().out


def test_every_command_has_its_section(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed and listed == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_described_and_every_described_option_exists(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert options_in(capsys.readouterr().out) == options_in(section(CLI, f"`stylecine {command}"))


def test_every_public_name_is_described() -> None:
    described = set(re.findall(r"`(?:stylecine\.)?(\w+)", API))
    assert set(stylecine.__all__) <= described


def test_every_error_is_in_the_table_and_every_row_is_an_error() -> None:
    def below(error: type[Exception]) -> Iterator[str]:
        yield error.__name__
        for child in error.__subclasses__():
            yield from below(child)

    rows = re.findall(r"^\| `(\w+)`", section(API, "Errors"), re.MULTILINE)
    public = {name for name in below(stylecine.StylecineError) if not name.startswith("_")}
    assert sorted(rows) == sorted(public)
    assert set(rows) <= set(stylecine.__all__)


def test_every_codec_is_described_with_its_quality() -> None:
    formats = (REPOSITORY / "docs/formats.md").read_text()
    described = set(re.findall(r"^\| `\.\w+` \| `([\w-]+)`.*? \| 0 to (\d+), default (\d+) ", formats, re.MULTILINE))
    assert described == {(codec.name, str(codec.worst), str(codec.qualities[1])) for codec in CODECS.values()}


def test_every_option_of_a_loop_is_described_to_programs() -> None:
    described = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", API, re.MULTILINE)))
    assert [name for name in OPTIONS if name not in described] == []
    (listed,) = re.findall(r"a job\. Fields: (.*?); as in", (REPOSITORY / "docs/service.md").read_text())
    served = {name for name, option in ALL_OPTIONS.items() if option["served"]}
    assert {*re.findall(r"`(\w+)`", listed)} == {"scene", "format", "preset", *served} - {"refine"}


def test_every_format_is_described() -> None:
    described = (REPOSITORY / "docs/formats.md").read_text()
    assert [ending for ending in ENDINGS if f"`{ending}`" not in described] == []
    (listed,) = re.findall(r"`format` \((.*?)\)", (REPOSITORY / "docs/service.md").read_text())
    assert {name.split()[0] for name in listed.split(", ")} == set(SERVED)


def test_every_style_is_described_and_has_weights() -> None:
    (listed,) = re.findall(r"\*\*Names\*\*: (.*?)\.", (REPOSITORY / "docs/styles.md").read_text(), re.DOTALL)
    assert re.findall(r"`([\w-]+)`", listed) == [*STYLES]
    (card,) = re.findall(r"\(18 × 512\) of (.*?) for", (REPOSITORY / "pretrained/cards/styles.md").read_text())
    assert re.split(r", | and ", card) == [*STYLES]
    assert {*load_file(REPOSITORY / "pretrained/styles.safetensors")} == {*STYLES}


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_existing_files_and_headings(page: Path) -> None:
    for link in re.findall(r'(?:\]\(|src=")([^)"\s]+)', page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: no such file"
        assert not fragment or fragment in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_paths_of_the_repository_exist(page: Path) -> None:
    text = page.read_text()
    for path in re.findall(r"(?<![\w/.-])((?:stylecine|benchmarks|cuda_ops|pretrained|tests)/[\w./-]*\w)", text):
        if path not in BUILT:
            assert (REPOSITORY / path).exists(), path


def test_every_picture_is_shown() -> None:
    shown = "".join(page.read_text() for page in PAGES)
    for picture in (REPOSITORY / "docs/images").iterdir():
        assert f"images/{picture.name}" in shown, picture.name


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for page in PAGES:
        named = re.findall(r"^ {4}make ([a-z][a-z-]*)|`make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
        assert {one or other for one, other in named} <= set(phony.split()), page


def test_every_room_is_in_the_layout() -> None:
    layout = section((REPOSITORY / "CONTRIBUTING.md").read_text(), "Layout")
    listed = set(re.findall(r"^ {6}(\w+(?:/|\.py)) ", layout, re.MULTILINE))
    package = REPOSITORY / "stylecine"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")} | {"player/"}
    assert listed == rooms | {path.name for path in package.glob("*.py") if not path.name.startswith("__")}


def test_every_example_photo_is_credited() -> None:
    notice = (REPOSITORY / "NOTICE").read_text()
    for photo in (REPOSITORY / "examples").glob("*.jpg"):
        assert f"examples/{photo.name}\n" in notice


def test_every_loop_of_the_gallery_is_shown_and_credited() -> None:
    folder = REPOSITORY / "docs/gallery"
    loops = {path.name for path in folder.glob("*.avif")}
    page = (folder / "index.html").read_text("utf-8")
    assert len(loops) == 6 and set(re.findall(r'<img src="([^"]+)"', page)) == loops
    with (folder / "credits.csv").open(encoding="utf-8", newline="") as file:
        credits = list(csv.DictReader(file))
    for credit, figure in zip(credits, re.findall("<figure>.*?</figure>", page), strict=True):
        assert all(credit.values()) and credit["source"].startswith("https://"), credit
        shown = (f"{credit['title']}<br>", f"{credit['author']} · {credit['licence']}", f'href="{credit["source"]}"')
        assert all(text in figure for text in shown), credit
