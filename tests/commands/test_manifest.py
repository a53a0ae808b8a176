"""Folders and manifests: which photos, which loops, which options."""

import os
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from stylecine.batch.journal import Journal
from stylecine.batch.tasks import Task
from stylecine.commands.manifest import PHOTOS, tasks_of
from stylecine.errors import OptionError, OutputError, PhotoError
from stylecine.picture.photo import FORMATS, load_photo

COMMON = {"mask": None, "arrows": (), "seconds": 4.0, "size": 1024}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def listed(folder: Path, out: Path, text: str, name: str = "photos.csv") -> list[Task]:
    (folder / name).write_text(text, encoding="utf-8")
    return tasks_of(folder / name, out, ".mp4", COMMON)[0]


def test_all_photos_of_a_folder_and_the_folders_in_it(tmp_path: Path, out: Path) -> None:
    for name in ("b.JPG", "a.heic", "notes.txt", ".hidden.jpg", "day 1/c.png", ".git/d.jpg", "out/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tasks, _ = tasks_of(tmp_path, out, ".webm", COMMON)
    assert [(task.photo.name, task.output) for task in tasks] == [
        ("a.heic", "a.webm"),
        ("b.JPG", "b.webm"),
        ("c.png", "day 1/c.webm"),
    ]
    assert all(task.options == COMMON for task in tasks)


@pytest.mark.parametrize("ending", ["jpg", "jfif", "jpe", "pjpeg", "hif", "jp2", "avif", "gif"])
def test_whatever_is_read_is_a_photo_of_a_folder(tmp_path: Path, out: Path, ending: str) -> None:
    picture, file = Image.new("RGB", (64, 64)), tmp_path / f"sea.{ending}"
    if ending == "hif":
        pillow_heif.from_pillow(picture).save(file)
    else:
        picture.save(file, {"pjpeg": "JPEG"}.get(ending))
    ((task,), _) = tasks_of(tmp_path, out, ".mp4", COMMON)
    assert task.photo == file and load_photo(file).shape == (64, 64, 3)


def test_every_ending_of_the_formats_that_are_read_is_a_photos() -> None:
    pillow_heif.register_heif_opener()
    endings = {ending for ending, form in Image.registered_extensions().items() if form in FORMATS}
    assert endings - {".pfm"} <= set(PHOTOS)  # which is no picture of a camera, but a map of floats


def test_what_is_skipped_can_be_told(tmp_path: Path, out: Path) -> None:
    """All but what is hidden, and what belongs to batches."""
    names = ("a.jpg", "a.txt", "day/film.mov", ".git/x", ".x", "out/b.mp4", "b.mp4")
    for name in (*names, "report.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert tasks_of(tmp_path, out, ".mp4", COMMON)[1] == ["a.txt", "b.mp4", "day/film.mov", "report.json"]
    with Journal(tmp_path) as journal:
        journal.add({"output": "b.mp4", "state": "failed"})
    assert tasks_of(tmp_path, tmp_path, ".mp4", COMMON)[1] == ["a.txt", "day/film.mov", "out/b.mp4"]


def test_what_servers_keep_beside_photos_is_skipped_and_told(tmp_path: Path, out: Path) -> None:
    """Thumbnails, and what was deleted."""
    kept = ("h/@eaDir/sea.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/a.jpg", "$RECYCLE.BIN/$R1.jpg", "@Recycle/b.jpg")
    for name in ("h/sea.jpg", "@home/c.jpg", *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    tasks, skipped = tasks_of(tmp_path, out, ".mp4", COMMON)
    assert [task.output for task in tasks] == ["@home/c.mp4", "h/sea.mp4"]
    assert skipped == ["#recycle/", "$RECYCLE.BIN/", "@Recycle/", "h/@eaDir/"]


def test_a_raw_file_is_skipped_beside_the_cameras_own_photo(tmp_path: Path, out: Path) -> None:
    for name in ("a.nef", "a.JPG", "b.dng", "day/a.nef"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tasks, skipped = tasks_of(tmp_path, out, ".mp4", COMMON)
    assert [task.photo.name for task in tasks] == ["a.JPG", "b.dng", "a.nef"] and skipped == ["a.nef"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_pipes_in_a_folder_are_skipped_and_told(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    tasks, skipped = tasks_of(tmp_path, out, ".mp4", COMMON)
    assert [task.photo.name for task in tasks] == ["a.jpg"] and skipped == ["pipe.jpg"]


def test_photos_that_differ_only_in_suffix_have_separate_loops(tmp_path: Path, out: Path) -> None:
    for name in ("sea.jpg", "sea.png", "SEA.tif", "report.jpg"):
        (tmp_path / name).touch()
    outputs = {task.photo.name: task.output for task in tasks_of(tmp_path, out, ".html", COMMON)[0]}
    assert outputs == {
        "SEA.tif": "SEA.html",
        "sea.jpg": "sea.jpg.html",
        "sea.png": "sea.png.html",
        "report.jpg": "report.jpg.html",  # report.html is the batch's own
    }


def test_a_film_that_no_batch_has_written_is_not_replaced(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.mp4", "b.jpg", "b.mp4"):
        (tmp_path / name).touch()
    with Journal(tmp_path) as journal:
        journal.add({"output": "b.mp4", "state": "failed"})
    assert [task.output for task in tasks_of(tmp_path, tmp_path, ".mp4", COMMON)[0]] == ["a.jpg.mp4", "b.mp4"]


def test_rows_override_the_command_line(tmp_path: Path, out: Path) -> None:
    rows = (
        "photo,output,seconds,size,arrows,mask,pace\n"
        'sea.jpg,,6,,"0.2,0.8,0.25,0.8 0.5,0.5,0.5,0.6",,\n'
        "/photos/falls.v2.heic,sub/falls.webm,,own,,masks/falls.png,lively\n"
        "lake.jpg,lake,,640x480,,,\n"
    )
    sea, falls, lake = listed(tmp_path, out, rows)
    assert (sea.photo, sea.output) == (tmp_path / "sea.jpg", "sea.mp4")
    assert sea.options == COMMON | {"seconds": 6.0, "arrows": ((0.2, 0.8, 0.25, 0.8), (0.5, 0.5, 0.5, 0.6))}
    assert (falls.photo, falls.output) == (Path("/photos/falls.v2.heic"), "sub/falls.webm")
    assert falls.options == COMMON | {"size": None, "mask": str(tmp_path / "masks/falls.png"), "pace": "lively"}
    assert lake.output == "lake.mp4" and lake.options["size"] == (640, 480)


def test_json_lines_say_the_same(tmp_path: Path, out: Path) -> None:
    rows = (
        '{"photo": "sea.jpg", "seconds": 6, "size": [640, 480], "arrows": [[0.2, 0.8, 0.25, 0.8]]}\n\n'
        '{"photo": "falls.v2.heic", "size": "own", "seconds": null}\n'
    )
    sea, falls = listed(tmp_path, out, rows, "photos.jsonl")
    assert sea.options == COMMON | {"seconds": 6.0, "size": (640, 480), "arrows": ((0.2, 0.8, 0.25, 0.8),)}
    assert falls.output == "falls.v2.mp4" and falls.options == COMMON | {"size": None}


def test_a_manifest_of_a_german_spreadsheet(tmp_path: Path, out: Path) -> None:
    (sea,) = listed(tmp_path, out, "\ufeffphoto;seconds;wind\r\nsea.jpg;2,5;270,0.6\r\n")
    assert sea.options == COMMON | {"seconds": 2.5, "wind": (270.0, 0.6)}


def test_a_row_sets_subject_and_wind(tmp_path: Path, out: Path) -> None:
    wanted = {"subject": "cloth", "wind": (270.0, 0.6), "mask": str(tmp_path / "flag-mask.png")}
    (flag,) = listed(tmp_path, out, 'photo,subject,wind,mask\nflag.jpg,cloth,"270,0.6",flag-mask.png\n')
    assert flag.options == COMMON | wanted
    row = '{"photo": "flag.jpg", "subject": "cloth", "wind": [270, 0.6], "mask": "flag-mask.png"}\n'
    assert listed(tmp_path, out, row, "photos.jsonl")[0].options == COMMON | wanted


def test_a_row_sets_a_style_by_name_or_photo(tmp_path: Path, out: Path) -> None:
    rows = (
        "photo,output,style,style_strength,style_drift\n"
        "sea.jpg,one,dusk,0.5,True\n"
        "sea.jpg,two,looks/beach.jpg,,\n"
        "sea.jpg,three,,,false\n"
    )
    named, other, plain = listed(tmp_path, out, rows)
    assert named.options == COMMON | {"style": "dusk", "style_strength": 0.5, "style_drift": True}
    assert other.options == COMMON | {"style": str(tmp_path / "looks/beach.jpg")}
    assert other.files == {"photo": tmp_path / "sea.jpg", "style": tmp_path / "looks/beach.jpg"}
    assert named.files == plain.files == {"photo": tmp_path / "sea.jpg"}
    row = '{"photo": "sea.jpg", "style": "dusk", "style_strength": 0.5, "style_drift": true}\n'
    assert listed(tmp_path, out, row, "photos.jsonl")[0].options == named.options


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.csv", "photo,colour\nsea.jpg,red\n", "line 2 has 'colour', which is not one of photo, output"),
        ("p.csv", "photo\nsea.jpg\nsea.png,6\n", "line 3 has 'more cells than columns'"),
        ("p.csv", "picture\nsea.jpg\n", "line 2 has 'picture'"),
        ("p.csv", "photo,seconds\n,4\n", "line 2 has no photo"),
        ("p.csv", "photo,seconds\nsea.jpg,long\n", "line 2: seconds: 'long' is invalid"),
        ("p.csv", "photo,size\nsea.jpg,big\n", "line 2: size: 'big' is not a size like 1024"),
        ("p.csv", "photo,arrows\nsea.jpg,0.1\n", "line 2: arrows: '0.1' is not four numbers"),
        ("p.csv", "photo,output\nsea.jpg,../sea.mp4\n", "inside the output folder"),
        ("p.csv", "photo,output\nsea.jpg,/tmp/sea.mp4\n", "inside the output folder"),
        ("p.csv", "photo,output\nsea.jpg,report.html\n", "line 2 writes 'report.html', and so does the batch itself"),
        ("p.csv", "photo\na/sea.jpg\nb/SEA.jpg\n", "line 3 writes 'SEA.mp4', and so does line 2"),
        ("p.csv", 'photo\n"sea.jpg\n', "cannot be read"),
        ("p.jsonl", '{"photo": "sea.jpg"}\nsea.jpg\n', "line 2 is not a JSON object"),
        ("p.jsonl", '{"photo": 3}\n', "line 1: photo: 3 is invalid"),
        ("p.jsonl", '{"photo": "a.jpg", "refine": 1.5}\n', "line 1: refine: 1.5 is invalid"),
        ("p.jsonl", '{"photo": "a.jpg", "seconds": true}\n', "line 1: seconds: True is invalid"),
        ("p.csv", "photo,style_drift\nsea.jpg,perhaps\n", "line 2: style_drift: it is true or false"),
        ("p.jsonl", '{"photo": "a.jpg", "style_drift": 1}\n', "line 1: style_drift: it is true or false"),
        ("p.jsonl", '{"photo": "a.jpg", "style_strength": "x"}\n', "line 1: style_strength: 'x' is invalid"),
        ("p.csv", "photo,duration\nsea.jpg,soon\n", "line 2: duration: A duration is like 90s"),
        ("p.jsonl", '{"photo": "a\\u0000b.jpg"}\n', "line 1: photo: 'a\\x00b.jpg' is invalid"),
        ("p.jsonl", '{"photo": "a\\ud800.jpg"}\n', "line 1: photo: 'a\\ud800.jpg' is invalid"),
        pytest.param("p.jsonl", f'{{"photo": "a", "speed": 1{400 * "0"}}}\n', "line 1: speed: ", id="huge"),
        pytest.param("p.jsonl", 100_000 * "[" + "\n", "line 1 is not a JSON object", id="nested"),
        ("p.txt", "sea.jpg\n", "ends in .csv or .jsonl"),
    ],
)
def test_errors_in_a_manifest_name_the_line(tmp_path: Path, out: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(OptionError) as error:
        listed(tmp_path, out, text, name)
    assert says in str(error.value)


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    """Photos, masks, the manifest, under whatever name; and no loop is taken for a photo by the next run."""
    for name in ("sea.jpg", "sea.png", "mask.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link.mp4").symlink_to("../sea.jpg")
    for text, out, name in [
        ("photo,output\nsea.jpg,sea.png\nsea.png,x\n", tmp_path, "photos.csv"),
        ("photo,output,mask\nsea.jpg,mask,mask.mp4\n", tmp_path, "photos.csv"),
        ("photo,output\nsea.jpg,link\n", tmp_path / "out", "photos.csv"),
        ('{"photo": "sea.jpg"}\n', tmp_path, "batch.jsonl"),
    ]:
        with pytest.raises(OutputError, match="is an input of the batch and would be replaced"):
            listed(tmp_path, out, text, name)
    with pytest.raises(OutputError, match="would be among its photos"):
        tasks_of(tmp_path, tmp_path / "out" / "..", ".webp", COMMON)
    with pytest.raises(OutputError, match="would be among its photos"):
        tasks_of(tmp_path, tmp_path, ".MP.jpg", COMMON)
    assert [task.output for task in tasks_of(tmp_path, tmp_path, ".mp4", COMMON)[0]] == ["sea.mp4", "sea.png.mp4"]


def test_an_empty_manifest_is_an_error(tmp_path: Path, out: Path) -> None:
    with pytest.raises(PhotoError, match="There are no photos in"):
        tasks_of(tmp_path, out, ".mp4", COMMON)
    with pytest.raises(PhotoError, match="lists no photos"):
        listed(tmp_path, out, "photo\n")
    with pytest.raises(PhotoError, match="no folder or manifest at"):
        tasks_of(tmp_path / "missing", out, ".mp4", COMMON)
