"""Frames -> photos that phones show as a photo and play when touched: Apple's Live Photo and Google's Motion Photo.

The photo is the first frame. The video contains whole loops, so that it ends where it began: at the photo. A wallpaper
of iOS ends at its photo, so that of a Live Photo is where the loop in the middle begins.
"""

import io
import shutil
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from stylecine.machine.atomic import translate_os_errors
from stylecine.options import FileOptions
from stylecine.output import VideoInfo
from stylecine.output.audio import MakeTrack
from stylecine.output.codecs import CODECS, check_encoding
from stylecine.output.encoders import check_encoders
from stylecine.output.exif import jpeg_exif
from stylecine.output.formats import LIVE_ARCHIVE, MOTION_PHOTO, MovingPhoto
from stylecine.output.images import Frames
from stylecine.output.live_photo import MEMBERS, live_photo_exif, write_zip
from stylecine.output.motion_photo import motion_photo_xmp
from stylecine.output.origin import UNKNOWN, Origin
from stylecine.output.panorama import DESCRIPTION, mark_spherical
from stylecine.output.quicktime import CONTENT_IDENTIFIER, mark_live_photo
from stylecine.output.video import encode

SECONDS = 3.0  # of the videos that phones record
QUALITY = 95  # of the JPEG

WriteMovie: TypeAlias = Callable[..., VideoInfo]  # to a path, with tags


def write_moving_photo(
    frames: Frames,
    paths: Sequence[Path],
    form: MovingPhoto,
    fps: float,
    quality: int | None,
    comment: str,
    origin: Origin,
    sound: MakeTrack | None,
    sphere: bool,
) -> VideoInfo:
    """Writes frames, uint8 [H,W,3] sRGB, one period of a loop, as a Live Photo or a Motion Photo.

    paths: of a .livephoto those of a JPEG and a movie; of a .livephoto.zip that of an archive of the two; of a .MP.jpg
        that of a JPEG with an MP4 in it. The movie contains as many loops as come closest to 3 s.
    origin: of the photo, for both. sound: makes the track of so many loops. sphere: whether frames show all directions,
        which a Motion Photo says.

    Raises OptionError for frames of an impossible size, OutputError if a file cannot be written.
    """
    name, codec = form.movie
    if min(frames[0].shape[:2]) < CODECS[codec].smallest:
        codec = "h264"
        check_encoders(name, codec)
    loops = max(1, round(SECONDS * fps / len(frames)))
    encoding = check_encoding(name, fps, FileOptions(quality=quality, codec=codec, repeat=loops))
    movie = partial(encode, frames, encoding=encoding, comment=comment, sound=sound)
    if form.ending == MOTION_PHOTO:
        return _write_motion_photo(frames, paths[0], movie, origin, sphere)
    files = [paths[0].with_name(name) for name in MEMBERS] if form.ending == LIVE_ARCHIVE else paths
    info = _write_pair(frames, files, movie, origin, still=len(frames) * (loops // 2))
    if form.ending == LIVE_ARCHIVE:
        with translate_os_errors(paths[0]):
            write_zip(paths[0], files)
    return info


def _write_motion_photo(frames: Frames, path: Path, write_movie: WriteMovie, origin: Origin, sphere: bool) -> VideoInfo:
    movie = path.with_name("motion-photo.mp4")
    info = write_movie(movie, tags=origin.quicktime | origin.created)
    exif, described = b"" if origin == UNKNOWN else jpeg_exif(info.width, info.height, origin), ""
    if sphere:
        mark_spherical(movie)
        described = DESCRIPTION.format(width=info.width, height=info.height)
    photo = _encode_still(frames, info, exif, motion_photo_xmp(movie.stat().st_size, described))
    with translate_os_errors(path), path.open("wb") as file, movie.open("rb") as video:
        file.write(photo)
        shutil.copyfileobj(video, file)
    return info


def _write_pair(
    frames: Frames, paths: Sequence[Path], write_movie: WriteMovie, origin: Origin, still: int
) -> VideoInfo:
    photo, movie = paths
    info = write_movie(movie, tags=origin.created)
    identifier = str(uuid.uuid4()).upper()  # a random one: others contain the time
    with translate_os_errors(movie):
        mark_live_photo(movie, {CONTENT_IDENTIFIER: identifier, **origin.quicktime}, still)
    with translate_os_errors(photo):
        exif = live_photo_exif(identifier, info.width, info.height, origin)
        photo.write_bytes(_encode_still(frames, info, exif))
    return info


def _encode_still(frames: Frames, info: VideoInfo, exif: bytes, xmp: str = "") -> bytes:
    """The first frame, of the same size as the video, as JPEG without subsampling."""
    image, file = Image.fromarray(frames[0][: info.height, : info.width]), io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True, exif=exif, xmp=xmp.encode())
    return file.getvalue()
