"""The output formats, each declared once: writers, command line, service and studio read them from here.

Imports nothing heavy, since the command line starts with it.
"""

from dataclasses import dataclass
from os import fspath
from pathlib import Path

from stylecine.machine.atomic import PathLike


@dataclass(frozen=True)
class Kind:
    """What some formats have in common. what: in the command line's help. group, icon: in the studio."""

    id: str
    what: str
    group: str
    icon: str


VIDEO = Kind("video", "a video", "Video", "video")
PAGE = Kind("page", "a page that plays it", "To embed", "page")
IMAGE = Kind("image", "an animated image", "Animated image", "picture")
PHOTO = Kind("photo", "a photo that phones play", "Photo that moves", "photo")
POSTER = Kind("poster", "the first frame", "For other programs", "photo")
SOUND = Kind("sound", "its sound alone", "For other programs", "frames")
FOLDER = Kind("folder", "a folder of PNG", "For other programs", "frames")


@dataclass(frozen=True)
class Format:
    """One output format.

    ending: of a path that selects it, in any case; "" for a folder. media_type: of what the service sends. name, hint:
    in the studio, which offers what has a name. qualities: for a smaller file, the default and the best, on its own
    scale; none if it is lossless, or holds a video, whose codecs have them (codecs.py). default_size: short side that
    the studio suggests. clock: ticks per second in which an animated image counts; max_fps: of one. parts: endings of
    several files that are written, added to the path. report, origin: whether it has a place for the report, for the
    photo's date and place. alpha: whether it keeps what is transparent; a video if its codec does, too. in_browsers:
    whether they play it. served_as: its name in the service, if that is not the ending.
    """

    ending: str
    kind: Kind
    media_type: str
    name: str = ""
    hint: str = ""
    qualities: tuple[int, ...] = ()
    default_size: int | None = None
    clock: int = 1000
    max_fps: float = 90  # browsers show a frame of 10 ms and less for 100 ms
    parts: tuple[str, ...] = ()
    report: bool = True
    origin: bool = False
    alpha: bool = False
    in_browsers: bool = True
    served_as: str = ""

    @property
    def id(self) -> str:
        """Its name in the service."""
        return self.served_as or self.ending.removeprefix(".")

    @property
    def has_sound(self) -> bool:
        """Whether it can have a sound."""
        return self.kind in (VIDEO, PAGE, PHOTO, SOUND)


LIVE_PHOTO, LIVE_ARCHIVE = ".livephoto", ".livephoto.zip"
MOTION_PHOTO = ".MP.jpg"  # in capitals, or apps may take it for a photo
ZIP, HTML = "application/zip", "text/html; charset=utf-8"

FORMATS = {  # in the studio's order
    form.ending: form
    for form in (
        Format(".mp4", VIDEO, "video/mp4", "MP4", "Plays everywhere", origin=True),
        Format(".webm", VIDEO, "video/webm", "WebM", "For web pages", alpha=True),
        Format(".mov", VIDEO, "video/quicktime", "ProRes", "For editing programs", origin=True, alpha=True,
               in_browsers=False),
        Format(".html", PAGE, HTML, "Web page", "A file to embed", (75, 90, 97), report=False),
        Format(".gif", IMAGE, "image/gif", "GIF", "Works in any chat", (60, 80, 100), 384, clock=100, max_fps=50),
        Format(".webp", IMAGE, "image/webp", "WebP", "Smaller than GIF", (60, 80, 95), 512, alpha=True),
        Format(".avif", IMAGE, "image/avif", "AVIF", "Smallest of all", (38, 28, 18), 768, report=False, alpha=True),
        Format(".apng", IMAGE, "image/apng", "APNG", "Lossless, large", default_size=512, alpha=True),
        Format(LIVE_PHOTO, PHOTO, ZIP, parts=(".jpg", ".mov"), origin=True, served_as="livephoto.zip"),
        Format(LIVE_ARCHIVE, PHOTO, ZIP, "Live Photo", "For iPhone, zipped", origin=True),
        Format(MOTION_PHOTO, PHOTO, "image/jpeg", "Motion Photo", "For Android", origin=True),
        Format(".wav", SOUND, "audio/wav", report=False),
        Format(".png", POSTER, "image/png", "PNG", "The first frame", alpha=True),
        Format("", FOLDER, ZIP, "Frames", "PNGs in a zip file", report=False, alpha=True, served_as="zip"),
    )
}  # fmt: skip
ENDINGS = tuple(ending for ending in FORMATS if ending)
PREVIEWS = tuple(f"{name}.png" for name in ("mask", "motion", "sheet", "difference", "slice"))  # of `output.preview`
AOVS = ("mask.exr", "mask.npy", "motion.exr", "motion.npy")  # of `output.aov`
SERVED = {form.id: form for form in FORMATS.values()}  # of a Live Photo, the archive


def endings_of(*kinds: Kind) -> list[str]:
    return [ending for ending, form in FORMATS.items() if form.kind in kinds]


def describe_endings() -> str:
    """What each ending stands for, for the command line's help."""
    described = []
    for kind in dict.fromkeys(form.kind for form in FORMATS.values()):
        forms = [FORMATS[ending] for ending in endings_of(kind)]
        *others, last = [f"{form.ending or 'no ending'}{' (two files)' if form.parts else ''}" for form in forms]
        described.append(f"{kind.what}: {', '.join(others)}{' or ' if others else ''}{last}")
    return "; ".join(described)


def ending_of(path: PathLike) -> str:
    """What selects the format: the one of ENDINGS in which a path ends, whatever its case; else its last suffix."""
    name = Path(path).name.lower()
    longest_first = sorted(ENDINGS, key=len, reverse=True)
    found = (ending for ending in longest_first if name.endswith(ending.lower()) and len(name) > len(ending))
    return next(found, Path(path).suffix.lower())


def format_of(path: PathLike) -> Format | None:
    """The format that `path` selects; None for an unknown ending, and for a path that is only an ending, as `.mp4`."""
    ending = ending_of(path)
    return None if not ending and Path(path).name.startswith(".") else FORMATS.get(ending)


def kind_of(path: PathLike) -> Kind | None:
    form = format_of(path)
    return form.kind if form else None


def files_of(path: PathLike) -> tuple[Path, ...]:
    """The files that are written for `path`: itself, or the two of a Live Photo."""
    form = format_of(path)
    return tuple(Path(f"{fspath(path)}{part}") for part in form.parts) if form and form.parts else (Path(path),)
