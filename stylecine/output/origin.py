"""When, where and with what a photo was taken, so that its loop sorts beside it: read from EXIF, written on request."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from PIL.ExifTags import GPS, IFD, Base

from stylecine.picture.photo import open_image

MAX_TEXT = 64  # characters of a camera's name
DATE = "%Y:%m:%d %H:%M:%S"


@dataclass(frozen=True)
class Origin:
    """Any of them may be unknown, None.

    taken: local time, with its zone if the photo tells it. place: degrees north and east. altitude: metres.
    """

    taken: datetime | None = None
    place: tuple[float, float] | None = None
    altitude: float | None = None
    make: str | None = None
    model: str | None = None

    @property
    def quicktime(self) -> dict[str, str]:
        """Keys and values of the metadata of a QuickTime movie or MP4, the place as +27.5916+086.5640+8850.000/."""
        place = None
        if self.place is not None:
            north, east = self.place
            altitude = "" if self.altitude is None else f"{self.altitude:+.3f}"
            place = f"{north:+08.4f}{east:+09.4f}{altitude}/"
        values = {
            "com.apple.quicktime.creationdate": self.taken and self.taken.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "com.apple.quicktime.location.ISO6709": place,
            "com.apple.quicktime.make": self.make,
            "com.apple.quicktime.model": self.model,
        }
        return {key: value for key, value in values.items() if value}

    @property
    def created(self) -> dict[str, str]:
        """FFmpeg's key and value of the date in a movie's header, in UTC, for which a time without a zone is taken."""
        if self.taken is None:
            return {}
        utc = self.taken.astimezone(UTC) if self.taken.tzinfo else self.taken
        return {"creation_time": utc.strftime("%Y-%m-%dT%H:%M:%SZ")}


UNKNOWN = Origin()


def read_origin(photo: bytes) -> Origin:
    """Of the content of a photo's file; what it does not tell, or tells in a damaged way, is unknown."""
    try:
        with open_image(io.BytesIO(photo), "The photo") as image:
            exif = image.getexif()
            details, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    except Exception:  # damaged EXIF makes Pillow raise anything
        return UNKNOWN
    return Origin(
        taken=_taken(details),
        place=_place(place),
        altitude=_altitude(place),
        make=_text(exif.get(Base.Make)),
        model=_text(exif.get(Base.Model)),
    )


def _text(value: Any) -> str | None:
    """Printable ASCII, as EXIF demands."""
    plain = "".join(c for c in str(value or "") if " " <= c <= "~").strip()
    return plain[:MAX_TEXT] or None


def _taken(details: Mapping[int, Any]) -> datetime | None:
    tags = Base.DateTimeOriginal, Base.OffsetTimeOriginal
    date, offset = (str(details.get(tag, "")).strip("\0 ") for tag in tags)
    zone = offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else ""
    try:
        return datetime.strptime(date + zone, f"{DATE}%z" if zone else DATE)
    except ValueError:  # such as a 31st of February
        return None


def _place(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    try:
        places = ([float(part) for part in gps[tag]] for tag in (GPS.GPSLatitude, GPS.GPSLongitude))
        north, east = (degrees + minutes / 60 + seconds / 3600 for degrees, minutes, seconds in places)
        north *= -1 if str(gps.get(GPS.GPSLatitudeRef, "N")).upper().startswith("S") else 1
        east *= -1 if str(gps.get(GPS.GPSLongitudeRef, "E")).upper().startswith("W") else 1
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return None
    return (north, east) if abs(north) <= 90 and abs(east) <= 180 else None


def _altitude(gps: Mapping[int, Any]) -> float | None:
    try:
        metres = float(gps[GPS.GPSAltitude])
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return None
    below = gps.get(GPS.GPSAltitudeRef, b"\0") in (1, b"\1")
    return (-metres if below else metres) if 0 <= metres < 1e5 else None
