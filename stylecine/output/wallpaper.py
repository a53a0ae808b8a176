"""What is known to keep iOS 17 and later from moving a Live Photo on the lock screen.

Apple documents none of it: the limits are those of converters whose authors tried their files on phones, and of what
others read in iOS itself (docs/formats.md#wallpapers). A file without a fault may be refused all the same.
"""

import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path

from stylecine.errors import VideoError
from stylecine.output.formats import LIVE_PHOTO, ending_of
from stylecine.output.live_photo import archived_movie, live_photo_movie
from stylecine.output.quicktime import CAMERA, STILL_IMAGE_TIME, Track, read_moov, read_tracks, video_track

LONG_SIDE, SHORT_SIDE = 1920, 1440  # pixels
MIN_FPS, MAX_SECONDS = 60, 3
LEAD = 14  # frames before the photo, which iOS slows down until they settle in it
SETTLED = 2 / 600  # s: a frame as near to the photo counts as the photo


def wallpaper_faults(path: Path) -> list[str]:
    """A sentence for each condition that a Live Photo breaks. path: of a pair, ending in .livephoto, or of an archive.

    Raises VideoError for anything else, also for two files that do not belong together.
    """
    movie = live_photo_movie(path).read_bytes() if ending_of(path) == LIVE_PHOTO else archived_movie(path)
    try:
        _, moov = read_moov(io.BytesIO(movie))
        return [f"{fault}." for fault in _faults(read_tracks(moov))]
    except (ValueError, KeyError, ArithmeticError, struct.error):
        raise VideoError(f"The movie of '{path}' is damaged; write it again.") from None


def _faults(tracks: list[Track]) -> Iterator[str]:
    video = video_track(tracks)
    still = next((track.start for track in tracks if track.has(STILL_IMAGE_TIME)), None)
    rate = video.samples / video.seconds
    if still is None:
        yield "No track marks the time of the photo (still-image-time)"
    elif (lead := max(0, math.ceil((still - SETTLED) * rate))) < LEAD:
        yield f"{lead} frames come before the photo, and iOS shows {LEAD}; make the loop shorter, so that several fit"
    if not any(track.has(CAMERA) and track.samples == video.samples for track in tracks):
        yield "No track says for each frame how the camera moved (live-photo-info)"
    if not _is_main(video.description):
        yield "The video is not H.265 of 8 bits (hvc1), the only codec that most converters report as accepted"
    if rate < MIN_FPS - 0.5:
        yield f"The video has {rate:.4g} frames per second; iOS is reported to accept {MIN_FPS} and refuse 30"
    width, height = video.size
    if max(width, height) > LONG_SIDE or min(width, height) > SHORT_SIDE:
        yield f"The video has {width}x{height} pixels; more than {SHORT_SIDE}x{LONG_SIDE} was refused"
    if video.seconds > MAX_SECONDS + 0.05:
        yield f"The video lasts {video.seconds:.3g} s; more than {MAX_SECONDS} s is refused"


def _is_main(description: bytes) -> bool:
    """Whether a video's samples are H.265 of the profile Main, with its parameters apart."""
    at = description.find(b"hvcC")
    return description[4:8] == b"hvc1" and 0 <= at < len(description) - 6 and description[at + 5] & 31 == 1
