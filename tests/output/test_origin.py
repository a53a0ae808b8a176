"""What is kept of a photo's own metadata, as exiftool and players read it; and that nothing is kept unasked."""

import io
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from stylecine.output.motion_photo import motion_photo_video
from stylecine.output.origin import UNKNOWN, Origin, read_origin
from stylecine.output.writing import write_output
from tests.output.test_moving_photo import EXIFTOOL, exiftool
from tests.output.test_video import clip

CEST = timezone(timedelta(hours=2))
LAKE = Origin(datetime(2024, 7, 14, 18, 5, 9, tzinfo=CEST), (46.5581, -8.5611), 2028.5, "NIKON", "D750")
PLACE = "com.apple.quicktime.location.ISO6709"
MEMBERS = {"loop.mp4": ("loop.mp4",), "loop.MP.jpg": ("loop.MP.jpg",)} | {
    "loop.livephoto": ("loop.livephoto.jpg", "loop.livephoto.mov")
}


def photo(**changes: Any) -> bytes:
    """A photo taken at LAKE. changes: of EXIF's values, by name."""
    values = {
        **{"Make": "NIKON\0", "Model": "D750", "DateTimeOriginal": "2024:07:14 18:05:09"},
        **{"OffsetTimeOriginal": "+02:00", "GPSLatitudeRef": "N", "GPSLatitude": (46.0, 33.0, 29.16)},
        **{"GPSLongitudeRef": "W", "GPSLongitude": (8.0, 33.0, 39.96), "GPSAltitude": 2028.5},
    } | changes
    exif = Image.Exif()
    directories = {Base: exif, GPS: exif.get_ifd(IFD.GPSInfo)}
    for name, value in values.items():
        if value is None:
            continue
        if name in ("DateTimeOriginal", "OffsetTimeOriginal"):
            exif.get_ifd(IFD.Exif)[Base[name]] = value
        else:
            kind = GPS if name.startswith("GPS") else Base
            if isinstance(value, tuple):
                value = tuple(IFDRational(round(number * 100), 100) for number in value)
            directories[kind][kind[name]] = value
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_date_place_and_camera_of_a_photo_are_read() -> None:
    origin = read_origin(photo())
    assert origin.place is not None and origin.place == pytest.approx((46.5581, -8.5611))
    assert origin == Origin(LAKE.taken, origin.place, 2028.5, "NIKON", "D750")
    assert origin.quicktime[PLACE] == "+46.5581-008.5611+2028.500/"
    assert origin.created == {"creation_time": "2024-07-14T16:05:09Z"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"OffsetTimeOriginal": None}, {"taken": datetime(2024, 7, 14, 18, 5, 9)}),
        ({"DateTimeOriginal": "2024:02:31 18:05:09"}, {"taken": None}),
        ({"DateTimeOriginal": "    :  :     :  :  "}, {"taken": None}),
        ({"OffsetTimeOriginal": "+99:00"}, {"taken": None}),
        ({"GPSLatitude": (146.0, 0.0, 0.0)}, {"place": None}),
        ({"GPSLatitude": None}, {"place": None}),
        ({"GPSLatitude": (47.0, 30.0)}, {"place": None}),
        ({"GPSAltitude": None}, {"altitude": None}),
        ({"Make": "\n<script>\x07", "Model": None}, {"make": "<script>", "model": None}),
    ],
)
def test_what_is_missing_or_damaged_is_unknown(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    origin = read_origin(photo(**changes))
    assert {name: getattr(origin, name) for name in expected} == expected


def test_files_without_exif_have_no_origin() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    assert read_origin(file.getvalue()) == read_origin(photo()[:300]) == read_origin(b"no photo") == UNKNOWN


@EXIFTOOL
@pytest.mark.parametrize("name", MEMBERS)
def test_exiftool_finds_it_in_what_phones_show(tmp_path: Path, name: str) -> None:
    write_output(clip(9), tmp_path / name, 30, comment="{}", origin=LAKE)
    for member in MEMBERS[name]:
        tags = exiftool(tmp_path / member)
        assert tags["Composite:GPSLatitude"] == pytest.approx(46.5581)
        assert tags["Composite:GPSLongitude"] == pytest.approx(-8.5611)
        assert tags["Composite:GPSAltitude"] == pytest.approx(2028.5)
        if member.endswith("jpg"):
            assert tags["ExifIFD:DateTimeOriginal"] == "2024:07:14 18:05:09"
            assert tags["ExifIFD:OffsetTimeOriginal"] == "+02:00"
            assert (tags["IFD0:Make"], tags["IFD0:Model"]) == ("NIKON", "D750")
        else:
            assert tags["Keys:CreationDate"] == "2024:07:14 18:05:09+02:00"
            assert tags["QuickTime:CreateDate"] == "2024:07:14 16:05:09", "in UTC"
            assert (tags["Keys:Make"], tags["Keys:Model"]) == ("NIKON", "D750")


def test_the_comment_stays_beside_it(tmp_path: Path) -> None:
    write_output(clip(9), tmp_path / "loop.mp4", 30, comment="a report", origin=LAKE)
    with av.open(tmp_path / "loop.mp4") as container:
        assert container.metadata["comment"] == "a report"
        assert container.metadata[PLACE] == LAKE.quicktime[PLACE]


@EXIFTOOL
def test_the_film_in_a_motion_photo_has_it_too(tmp_path: Path) -> None:
    write_output(clip(9), tmp_path / "loop.MP.jpg", 30, origin=LAKE)
    (tmp_path / "film.mp4").write_bytes(motion_photo_video(tmp_path / "loop.MP.jpg") or b"")
    assert exiftool(tmp_path / "film.mp4")["Keys:CreationDate"] == "2024:07:14 18:05:09+02:00"
