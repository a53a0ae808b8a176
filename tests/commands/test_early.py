"""What is wrong with a command is said before PyTorch, SciPy, Pillow and the codecs are imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stylecine

PROGRAM = """
import contextlib, io, json, sys
from stylecine.cli import main

HEAVY = {"torch", "numpy", "scipy", "PIL", "av", "tqdm", "fastapi", "uvicorn", "httpx"}
answers = []
for command in json.load(sys.stdin):
    before = set(sys.modules)
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(command.split())
        except SystemExit as end:  # of --help
            code = end.code
    answers.append((code, said.getvalue(), sorted(HEAVY & (set(sys.modules) - before))))
print(json.dumps(answers))
"""
WRONG = {  # command -> what is said; photo.jpg, scene.cine and folder exist
    "animate": "the following arguments are required: PHOTO",
    "animate missing.jpg": "no photo at 'missing.jpg'",
    "animate folder": "is a folder, not a photo",
    "animate photo.jpg --mask missing.png": "no mask at 'missing.png'",
    "animate photo.jpg --motion missing.npy": "no motion at 'missing.npy'",
    "animate photo.jpg --style missing": "no style 'missing'",
    "animate photo.jpg --style folder": "is a folder, not a photo",
    "animate photo.jpg --model missing": "no model or file 'missing'",
    "animate photo.jpg --device tpu": "no device 'tpu'",
    "animate photo.jpg --device cpu:9": "all cores are one device",
    "animate photo.jpg --seconds 0": "seconds must be",
    "animate photo.jpg --arrow 2,2,3,3": "does not start inside the photo",
    "animate photo.jpg --weather hail": "weather must be",
    "animate photo.jpg --size 3": "size 3 is too small",
    "animate photo.jpg --size 99999": "size 99999 is too large",
    "animate photo.jpg --size 12y": "'12y' is not a size",
    "animate photo.jpg --size 640x480x3": "'640x480x3' is not a size",
    "animate photo.jpg --fps many": "argument --fps",
    "animate photo.jpg --fps -30": "fps must be a number above 0 and at most 240",
    "animate photo.jpg --fps 500": "fps must be a number above 0 and at most 240",
    "animate photo.jpg --arrow 1,2,3": "'1,2,3' is not four numbers",
    "animate photo.jpg --subject auto --wind 270": "'270' is not two numbers",
    "animate photo.jpg --wind 270,2": "The wind's strength must be",
    "animate photo.jpg --style-strength 0.5": "give a style",
    "animate photo.jpg --preset poster": "no preset 'poster'",
    "animate photo.jpg --sec 3": "no option --sec",
    "animate photo.jpg --token-file missing.txt": "give its address with --server",
    "animate photo.jpg --repeat 0": "from 1",
    "animate photo.jpg -o loop.webm --quality 64": "quality",
    "animate photo.jpg -o loop.png --repeat 2": "are for videos",
    "animate photo.jpg --refine -1": "refine must be",
    "animate photo.jpg --surprise": "no option --surprise",
    "animate photo.jpg -o loop.txt": "does not end in",
    "animate photo.jpg -o missing/loop.mp4": "no folder",
    "animate photo.jpg -o photo.jpg": "is the photo itself",
    "animate photo.jpg -o loop.mp4 --quality 99": "quality",
    "animate photo.jpg -o loop.mp4 --codec vp9": "codec 'vp9' does not fit",
    "animate photo.jpg -o loop.mp4 --crop 0:1": "sides of a crop",
    "animate photo.jpg -o loop.webp --quality 101": "quality",
    "animate photo.jpg -o loop.gif --repeat 2": "are for videos",
    "animate photo.jpg -o loop.html --warp dfw": "live loop",
    "animate photo.jpg -o loop.livephoto --quality 60": "quality",
    "animate photo.jpg --layer moving": "no place for the matte",
    "animate missing.jpg --server http://127.0.0.1:1": "no photo at 'missing.jpg'",
    "animate photo.jpg --server http://127.0.0.1:1 --seed 2": "works on this machine only",
    "explain missing.jpg": "no photo at 'missing.jpg'",
    "explain photo.jpg -o missing/page.html": "no folder",
    "scene missing.jpg": "no photo at 'missing.jpg'",
    "scene photo.jpg -o scene.txt": "does not end in .cine",
    "edit missing.cine --undo": "no scene at 'missing.cine'",
    "render missing.cine": "no scene at 'missing.cine'",
    "render scene.cine --size 3": "size is a whole number from 64",
    "render scene.cine -o loop.txt": "does not end in",
    "batch missing -o out": "no folder or manifest at 'missing'",
    "batch folder -o out": "no photos in 'folder'",
    "batch folder -o out --seconds 0": "no photos in 'folder'",
    "batch list.csv -o out --fps 0": "fps must be",
    "batch list.csv -o out --format txt": "'txt' is not one of",
    "measure missing.mp4": "no video at 'missing.mp4'",
    "report missing.mp4": "no file at 'missing.mp4'",
    "convert missing.pkl model.safetensors": "no checkpoint at 'missing.pkl'",
    "studio missing.jpg": "no photo at 'missing.jpg'",
    "serve --settings missing.toml": "The settings 'missing.toml' cannot be read",
    "serve --token-file missing": "The tokens in 'missing' cannot be read",
    "serve --workers 1": "workers must be 2 or more",
}
AS_NOBODY = """
import os, sys
from stylecine.cli import main
os.geteuid() or os.setuid(65534)  # root may read anything
sys.exit(main())
"""
HELPFUL = ["", "--help", "--version", "animate --help", "batch --help", "models"]


def answers(commands: list[str], work: Path) -> list[tuple[int, str, list[str]]]:
    """Of each command, in one process: its exit code, what it says, and what it is the first to import."""
    environment = os.environ | {"PYTHONPATH": str(Path(stylecine.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [(code, said, loaded) for code, said, loaded in json.loads(run.stdout)]


def test_what_is_wrong_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    for name in ("photo.jpg", "scene.cine"):
        (tmp_path / name).write_bytes(b"looked at later")
    (tmp_path / "list.csv").write_text("photo\nphoto.jpg\n")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for (command, says), (code, said, loaded) in zip(WRONG.items(), answers([*WRONG], tmp_path), strict=True):
        assert (code, loaded) == (2, []), (command, said)
        assert says in said and said.count("\n") == 1, (command, said)
    assert sorted(tmp_path.rglob("*")) == before


def test_help_loads_nothing(tmp_path: Path) -> None:
    for command, (code, said, loaded) in zip(HELPFUL, answers(HELPFUL, tmp_path), strict=True):
        assert (code, said, loaded) == (0, "", []), command


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX users")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o300)
    tmp_path.chmod(0o755)
    answer = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "batch", "closed", "-o", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(stylecine.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    says = "stylecine: The folder 'closed' cannot be read (Permission denied); check its permissions.\n"
    assert (answer.returncode, answer.stderr) == (2, says)
