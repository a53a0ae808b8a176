"""The output formats, each declared once: what it holds, which options it takes, and what the studio says of it.

Writers, command line, service and studio read them from here. Checks need a file's name alone, and the standard library
alone, since the command line begins with them.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from stylecine.errors import OptionError, OutputError, TooLarge
from stylecine.machine.atomic import PathLike, check_destination, check_path
from stylecine.options import DEPTHS, LAYERS, MOVING_LAYER, FileOptions, check_int, check_live, check_number
from stylecine.output.codecs import CODECS, Codec, Container, check_encoding, check_length, codec_for
from stylecine.output.codecs import MAX_SIDE as VIDEO_SIDE
from stylecine.picture.crop import check_crop, crop_sides
from stylecine.picture.size import MIN_SIDE

ONE_LOOP = (None, 1, None, "first")  # codec, repeat, duration and keyframes, where they make no sense
MIN_FPS = 0.02  # of an image: an APNG's longest delay is 65.5 s
IMAGE_SIDE = 16383  # of WebP; the others allow more
USUAL = FileOptions()


@dataclass(frozen=True)
class Format:
    """One output format; a subclass is a kind of formats, with the options that it takes.

    ending: of a path that selects it, in any case; "" for a folder. media_type: of what the service sends. name, hint:
    in the studio, which offers what has a name. qualities: for a smaller file, the default and the best, on its own
    scale, of which `worst` is the other end; none if it is lossless, or holds a video, whose codecs have them
    (codecs.py). default_size: short side that the studio suggests. clock: ticks per second of an animated image;
    max_fps: of one. parts: endings of several files that are written, added to the path. report, origin: whether it has
    a place for the report, for the photo's date and place. alpha: whether it keeps what is transparent; a video if its
    codec does, too. in_browsers: whether they play it. served_as: its name in the service, if that is not the ending.
    """

    ending: str
    media_type: str
    name: str = ""
    hint: str = ""
    qualities: tuple[int, ...] = ()
    worst: int = 100
    default_size: int | None = None
    clock: int = 1000
    max_fps: float = 90  # browsers show a frame of 10 ms and less for 100 ms
    parts: tuple[str, ...] = ()
    report: bool = True
    origin: bool = False
    alpha: bool = False
    in_browsers: bool = True
    served_as: str = ""

    # Of its kind:
    kind: ClassVar[str]
    what: ClassVar[str]  # in the command line's help
    called: ClassVar[str] = ""  # in a sentence about what it cannot hold, if not by its ending
    group: ClassVar[str]  # in the studio, and its symbol there
    icon: ClassVar[str]
    has_sound: ClassVar[bool] = False  # whether it can have one
    has_codec: ClassVar[bool] = False  # whether a video codec writes it, or a part of it
    max_side: ClassVar[int | None] = IMAGE_SIDE  # pixels of a frame

    @property
    def id(self) -> str:
        """Its name in the service."""
        return self.served_as or self.ending.removeprefix(".")

    def coded(self, path: PathLike, codec: str | None) -> tuple[Container, Codec] | None:
        """What encodes its video, if it has one. Raises OptionError for another codec."""
        return codec_for(path, codec) if self.has_codec else None

    def keeps_alpha(self, path: PathLike, options: FileOptions) -> bool:
        """Whether a file keeps what is transparent in a photo."""
        return self.alpha

    def shown(self, period: int, fps: float) -> tuple[Sequence[float], float]:
        """The times, in frames of a loop, that a file shows, and its frames per second."""
        return range(period), fps

    def check(self, path: PathLike, options: FileOptions, fps: float) -> None:
        """Raises OptionError for an option that is invalid or does not apply to it."""
        self.check_own(path, options, fps)
        if options.layer not in LAYERS:
            raise OptionError(f"layer is {' or '.join(LAYERS)}, not {options.layer!r}.")
        if options.layer == MOVING_LAYER and not self.keeps_alpha(path, options):
            raise OptionError(
                f"'{os.fspath(path)}' has no place for the matte of a layer; write {_endings('alpha')} or a folder,"
                " with their default codec."
            )
        if options.depth not in DEPTHS:
            raise OptionError(f"depth is {' or '.join(map(str, DEPTHS))} bits, not {options.depth!r}.")
        coded = self.coded(path, options.codec)
        if options.depth > 8 and not (coded and coded[1].deep):
            deep = ", ".join(name for name, other in CODECS.items() if other.deep)
            raise OptionError(f"Only videos of 10 bits gain from depth 16; use codec {deep}, or omit depth.")
        if options.sound and not self.has_sound:
            raise OptionError(f"Only {_endings('has_sound')} can have a sound; write one of these, or omit sound.")
        if options.embed_report and not self.report:
            what = self.called or f"An {self.ending}"
            raise OptionError(f"{what} has no place for a report; write another format, or omit the report.")
        if options.silence and self.ending != ".mp4":
            raise OptionError("Only an .mp4 gets a silent track; write one, or omit silence.")
        if options.keep_metadata and not self.origin:
            raise OptionError(
                f"Only {_endings('origin')} keep the photo's metadata; write one of these, or omit keep_metadata."
            )

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        """The options of which kinds take different ones: quality, crop, and those of a video."""
        if (options.codec, *options.length) != ONE_LOOP:
            raise OptionError(
                "codec, repeat, duration and keyframes are for videos; images and pages play endlessly, a still not at"
                " all; omit them."
            )
        if options.quality is not None and not self.qualities:
            raise OptionError(f"{self.called or self.ending} is lossless, so it has no quality; omit it.")
        if options.quality is not None:
            check_int(f"quality of {self.ending}", options.quality, 0, self.worst)

    def check_loop(self, warp: str, sampling: str) -> None:
        """Raises OptionError for a loop, made with these, that it cannot hold."""


class Video(Format):
    kind, what, group, icon = "video", "a video", "Video", "video"
    has_sound = has_codec = True
    max_side = VIDEO_SIDE

    def keeps_alpha(self, path: PathLike, options: FileOptions) -> bool:
        return self.alpha and bool(codec_for(path, options.codec)[1].alpha)

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        check_encoding(path, fps, options)


class Page(Format):
    kind, what, group, icon = "page", "a page that plays it", "To embed", "page"
    has_sound = True
    called = "A page"

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        super().check_own(path, options, fps)
        if options.crop is not None:
            raise OptionError("A page shows the whole photo; omit crop, or crop the photo itself, by size.")

    def check_loop(self, warp: str, sampling: str) -> None:
        check_live(warp, sampling)


class Picture(Format):
    """What Pillow writes."""


class Still(Picture):
    kind, what, group, icon = "poster", "the first frame", "For other programs", "photo"
    max_side = None

    def shown(self, period: int, fps: float) -> tuple[Sequence[float], float]:
        return [0.0], 0.0


class Image(Picture):
    kind, what, group, icon = "image", "an animated image", "Animated image", "picture"

    def shown(self, period: int, fps: float) -> tuple[Sequence[float], float]:
        """A GIF counts in hundredths of a second, and 30 fps do not divide them: each of its frames is the loop at the
        exact time at which it is shown. If browsers cannot keep up, the file has fewer frames and the same duration."""
        if fps <= self.max_fps and self.clock == 1000:
            return range(period), fps
        count = min(period, max(2, int(period * self.max_fps / fps)))
        rate = min(self.max_fps, fps * count / period)
        return [k * fps / self.clock for k in frame_ticks(count, rate, self.clock)[:-1]], rate

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        check_number("fps", fps, ge=MIN_FPS, le=math.inf)
        super().check_own(path, options, fps)


class CodedImage(Image):
    """An animated image that a video codec writes."""

    has_codec = True
    max_side = VIDEO_SIDE


class MovingPhoto(Format):
    kind, what, group, icon = "photo", "a photo that phones play", "Photo that moves", "photo"
    has_sound = has_codec = True
    max_side = VIDEO_SIDE

    @property
    def movie(self) -> tuple[str, str]:
        """A name for the video, and its codec: as Apple's phones record it, or what every phone plays."""
        return ("photo.mp4", "h264") if self.ending == MOTION_PHOTO else ("photo.mov", "h265")

    def coded(self, path: PathLike, codec: str | None) -> tuple[Container, Codec]:
        return codec_for(*self.movie)

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        if (options.codec, *options.length) != ONE_LOOP:
            raise OptionError(
                "Phones expect one codec and about 3 s in a photo; omit codec, repeat, duration and keyframes."
            )
        name, codec = self.movie
        check_encoding(name, fps, replace(options, codec=codec))


class Sound(Format):
    kind, what, group, icon = "sound", "its sound alone", "For other programs", "frames"
    has_sound = True
    max_side = None
    called = "A .wav"

    def check_own(self, path: PathLike, options: FileOptions, fps: float) -> None:
        if (options.quality, options.codec, options.keyframes, options.crop) != (None, None, "first", None):
            raise OptionError("A .wav is sound without a picture; omit quality, codec, keyframes and crop.")
        check_length(options.repeat, options.duration)


class Folder(Format):
    kind, what, group, icon = "folder", "a folder of PNG", "For other programs", "frames"
    called = "A folder of PNG"


LIVE_PHOTO, LIVE_ARCHIVE = ".livephoto", ".livephoto.zip"
MOTION_PHOTO = ".MP.jpg"  # in capitals, or apps may take it for a photo
ZIP, HTML = "application/zip", "text/html; charset=utf-8"

FORMATS = {  # in the studio's order
    form.ending: form
    for form in (
        Video(".mp4", "video/mp4", "MP4", "Plays everywhere", origin=True),
        Video(".webm", "video/webm", "WebM", "For web pages", alpha=True),
        Video(".mov", "video/quicktime", "ProRes", "For editing programs", origin=True, alpha=True, in_browsers=False),
        Page(".html", HTML, "Web page", "A file to embed", (75, 90, 97), report=False),
        Image(".gif", "image/gif", "GIF", "Works in any chat", (60, 80, 100), default_size=384, clock=100, max_fps=50),
        Image(".webp", "image/webp", "WebP", "Smaller than GIF", (60, 80, 95), default_size=512, alpha=True),
        # its quality is AV1's quantiser
        CodedImage(".avif", "image/avif", "AVIF", "Smallest of all", (38, 28, 18), 63, 768, report=False, alpha=True),
        Image(".apng", "image/apng", "APNG", "Lossless, large", default_size=512, alpha=True),
        MovingPhoto(LIVE_PHOTO, ZIP, parts=(".jpg", ".mov"), origin=True, served_as="livephoto.zip"),
        MovingPhoto(LIVE_ARCHIVE, ZIP, "Live Photo", "For iPhone, zipped", origin=True),
        MovingPhoto(MOTION_PHOTO, "image/jpeg", "Motion Photo", "For Android", origin=True),
        Sound(".wav", "audio/wav", report=False),
        Still(".png", "image/png", "PNG", "The first frame", alpha=True),
        Folder("", ZIP, "Frames", "PNGs in a zip file", report=False, alpha=True, served_as="zip"),
    )
}
ENDINGS = tuple(ending for ending in FORMATS if ending)
PREVIEWS = tuple(f"{name}.png" for name in ("mask", "motion", "sheet", "difference", "slice"))  # of `output.preview`
AOVS = ("mask.exr", "mask.npy", "motion.exr", "motion.npy")  # of `output.aov`
SERVED = {form.id: form for form in FORMATS.values()}  # of a Live Photo, the archive


def describe_endings() -> str:
    """What each ending stands for, for the command line's help."""
    described = []
    for what in dict.fromkeys(form.what for form in FORMATS.values()):
        forms = [form for form in FORMATS.values() if form.what == what]
        *others, last = [f"{form.ending or 'no ending'}{' (two files)' if form.parts else ''}" for form in forms]
        described.append(f"{what}: {', '.join(others)}{' or ' if others else ''}{last}")
    return "; ".join(described)


def ending_of(path: PathLike) -> str:
    """What selects the format: the one of ENDINGS in which a path ends, whatever its case; else its last suffix."""
    name = Path(path).name.lower()
    longest_first = sorted(ENDINGS, key=len, reverse=True)
    found = (ending for ending in longest_first if name.endswith(ending.lower()) and len(name) > len(ending))
    return next(found, Path(path).suffix.lower())


def find_format(path: PathLike) -> Format | None:
    """The format that `path` selects; None for an unknown ending, and for a path that is only an ending, as `.mp4`."""
    ending = ending_of(path)
    return None if not ending and Path(path).name.startswith(".") else FORMATS.get(ending)


def format_of(path: PathLike) -> Format:
    """As `find_format`. Raises OptionError if there is none."""
    form = find_format(path)
    if form is None:
        raise OptionError(
            f"'{os.fspath(path)}' does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, or in nothing, for a"
            " folder; rename it."
        )
    return form


def files_of(path: PathLike) -> tuple[Path, ...]:
    """The files that are written for `path`: itself, or the two of a Live Photo."""
    form = find_format(path)
    return tuple(Path(f"{os.fspath(path)}{part}") for part in form.parts) if form and form.parts else (Path(path),)


def frame_ticks(count: int, fps: float, clock: int) -> list[int]:
    """When each of `count` frames appears and the last one ends, in ticks; rounding errors do not accumulate."""
    return [round(clock * k / fps) for k in range(count + 1)]


def check_format(path: PathLike, options: FileOptions = USUAL, fps: float = 30) -> None:
    """Checks the options of a file by its name alone; touches nothing.

    Raises OptionError for an unknown suffix and for an option that is invalid or does not apply to it; OutputError for
    what is no name.
    """
    check_path(path)
    if not os.fspath(path):  # it would be the current folder
        raise OutputError("The output has no name; give it one, such as loop.mp4.")
    if options.crop is not None:
        check_crop(options.crop)
    format_of(path).check(path, options, fps)


def check_size(path: PathLike, width: int, height: int, crop: str | None = None) -> None:
    """Raises TooLarge, with a size that fits, for a loop of width x height whose frames no such file can hold.

    Cheap; call it before minutes of work. path, crop: as checked by `check_format`.
    """
    form = format_of(path)
    longest = max((width, height) if crop is None else crop_sides(check_crop(crop), width, height))
    if form.max_side is None or longest <= form.max_side:
        return
    fits, what = min(width, height) * form.max_side // longest, form.ending or form.what
    remedy = f"ask for size {fits} or less" if fits >= MIN_SIDE else "cut a part out of the photo"
    most = f"{what} holds at most {form.max_side} a side"
    raise TooLarge(f"The loop would be {width}x{height} pixels, and {most}; {remedy}.")


def check_writable(path: PathLike) -> list[Path]:
    """The files, or the folder, that `path` names, symbolic links resolved. Raises OutputError if one cannot be
    written."""
    folder = isinstance(find_format(path), Folder)
    return [check_destination(file, folder=folder) for file in files_of(path)]


def _endings(what: str) -> str:
    """Of the formats of which that is true."""
    return ", ".join(ending for ending, form in FORMATS.items() if ending and getattr(form, what))
