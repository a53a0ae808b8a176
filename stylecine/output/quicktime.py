"""What makes a QuickTime movie the video of a Live Photo: its identifier, a track that marks the time of the photo, and
one that says how the camera moved.

Atoms, their fields and the keys are described in Apple's QuickTime File Format, "Metadata" and "Timed metadata media".
Apple does not document the camera's records, which iOS reads before it moves a wallpaper; `_camera` has what others
found out about them. Nothing tells when the file was written: all dates are 0, or when the photo was taken.
"""

import itertools
import plistlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CONTENT_IDENTIFIER = "com.apple.quicktime.content.identifier"
STILL_IMAGE_TIME = b"com.apple.quicktime.still-image-time"
STILL_IMAGE_TRANSFORM = b"com.apple.quicktime.live-photo-still-image-transform"
CAMERA = b"com.apple.quicktime.live-photo-info"
CAMERA_TYPE = b"com.apple.quicktime." + CAMERA
RAW, UTF8, INT8, MATRIX = 0, 1, 65, 83  # well-known types of values; a matrix of 3 x 3 doubles
MAX_MOOV = 200_000_000  # bytes; twelve hours of video have less
IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
EYE = (1, 0, 0, 0, 1, 0, 0, 0, 1)
ENABLED = 3  # and in the movie
UNDETERMINED = 0x55C4  # language


@dataclass(frozen=True)
class Track:
    """A track of a movie, without sizes or times that make no sense.

    kind: "vide", "soun", "meta". number: by which others refer to it. description: of its first kind of samples, an
    atom. start: seconds that nothing of it is shown. durations: (samples, ticks of each), clock: ticks per second.
    """

    kind: bytes
    number: int
    description: bytes
    start: float
    durations: tuple[tuple[int, int], ...]
    clock: int

    @property
    def samples(self) -> int:
        return sum(count for count, _ in self.durations)

    @property
    def seconds(self) -> float:
        return sum(count * ticks for count, ticks in self.durations) / self.clock

    def has(self, key: bytes) -> bool:
        """Whether its samples, of metadata, have values of this key."""
        return _key(key) in self.description

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a video, in pixels."""
        width, height = struct.unpack_from(">HH", self.description, 32)
        return width, height


def mark_live_photo(path: Path, metadata: Mapping[str, str], still: int = 0) -> None:
    """Makes a movie, as FFmpeg writes it, the video of a Live Photo. metadata: keys and values, one of which is the
    identifier. still: the frame that is the photo."""
    with path.open("rb+") as file:
        begin, moov = read_moov(file)
        video = video_track(read_tracks(moov))
        lengths = (ticks for count, ticks in video.durations for _ in range(count))
        times = list(itertools.accumulate(lengths, initial=0))
        shown = times[still + 1] - times[still]
        photo = _Marks(STILL_KEYS, [STILL], begin + 8, times[still], ((1, shown),))
        records = [_camera(round(1e9 * time / video.clock)) for time in times[:-1]]
        camera = _Marks(_camera_keys(video), records, photo.at + len(photo.samples[0]), 0, video.durations)
        file.seek(begin)
        file.truncate()
        file.write(atom(b"mdat", *photo.samples, *camera.samples))
        file.write(atom(b"moov", *_extended(moov, metadata, video, (photo, camera))))


def read_moov(file: BinaryIO) -> tuple[int, bytes]:
    """Where the moov atom begins, and its content. Raises ValueError."""
    offset = 0
    while len(header := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", header)
        begin = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            begin = 16
        if kind == b"moov" and begin <= size <= MAX_MOOV:
            content = file.read(size - begin)
            if len(content) == size - begin:
                return offset, content
        if size < begin:
            break
        offset += size
        file.seek(offset)
    raise ValueError("no moov atom")


def atoms(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Types and contents of consecutive atoms. Raises ValueError or struct.error at damage."""
    offset = 0
    while offset < len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        if not 8 <= size <= len(data) - offset:
            raise ValueError("an atom is damaged")
        yield kind, data[offset + 8 : offset + size]
        offset += size


def atom(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def _full(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    """An atom that begins with version 0 and flags."""
    return atom(kind, struct.pack(">I", flags), *content)


def read_tracks(moov: bytes) -> list[Track]:
    """The tracks of a movie, from the content of its moov atom. Raises ValueError, KeyError, OverflowError or
    struct.error if atoms are missing or damaged."""
    clock = _clock(dict(atoms(moov))[b"mvhd"])
    return [_parsed(dict(atoms(content)), clock) for kind, content in atoms(moov) if kind == b"trak"]


def video_track(tracks: Sequence[Track]) -> Track:
    """The first of a video. Raises ValueError if there is none."""
    for track in tracks:
        if track.kind == b"vide":
            return track
    raise ValueError("no video")


def _parsed(track: Mapping[bytes, bytes], movie_clock: int) -> Track:
    media = dict(atoms(track[b"mdia"]))
    table = dict(atoms(dict(atoms(media[b"minf"]))[b"stbl"]))
    edit = dict(atoms(track.get(b"edts", b""))).get(b"elst", bytes(16))
    length, begin = struct.unpack_from(">Qq" if edit[0] else ">Ii", edit, 8)
    (count,) = struct.unpack_from(">I", table[b"stts"], 4)
    durations = struct.unpack_from(f">{2 * count}I", table[b"stts"], 8)
    return Track(
        media[b"hdlr"][8:12],
        struct.unpack_from(">I", track[b"tkhd"], 12)[0],
        table[b"stsd"][8:],
        length / movie_clock if begin == -1 else 0.0,  # an empty edit
        tuple(zip(durations[::2], durations[1::2], strict=True)),
        _clock(media[b"mdhd"]),
    )


def _clock(header: bytes) -> int:
    """Ticks per second in the header of a movie or of a track's media."""
    version, clock = struct.unpack_from(">B11xI", header)
    if version or not clock:  # 1: it is longer than any Live Photo
        raise ValueError("an atom is damaged")
    return int(clock)


@dataclass(frozen=True)
class _Marks:
    """What a track of metadata is made of. at: offset of its samples in the file. start: ticks until the first."""

    keys: bytes
    samples: Sequence[bytes]
    at: int
    start: int
    durations: tuple[tuple[int, int], ...]


def _extended(moov: bytes, metadata: Mapping[str, str], video: Track, marks: Sequence[_Marks]) -> Iterator[bytes]:
    """The atoms of a movie, with more tracks, which describe its video, and the metadata."""
    parts = list(atoms(moov))
    movie = dict(parts)[b"mvhd"]
    clock, (number,) = _clock(movie), struct.unpack_from(">I", movie, 96)
    last = max(k for k, (kind, _) in enumerate(parts) if kind == b"trak")
    for k, (kind, content) in enumerate(parts):
        if kind == b"mvhd":
            content = content[:96] + struct.pack(">I", number + len(marks))  # the next one's number
        yield atom(kind, content)
        if k == last:
            yield from (_track(number + n, one, video, clock) for n, one in enumerate(marks))
    yield _metadata(metadata)


def _metadata(metadata: Mapping[str, str]) -> bytes:
    keys = b"".join(atom(b"mdta", key.encode()) for key in metadata)
    values = (atom(b"data", struct.pack(">II", UTF8, 0), value.encode()) for value in metadata.values())
    return atom(
        b"meta",
        _full(b"hdlr", struct.pack(">4s4s12x", b"", b"mdta"), b"\0"),
        _full(b"keys", struct.pack(">I", len(metadata)), keys),
        atom(b"ilst", *(atom(struct.pack(">I", number), value) for number, value in enumerate(values, 1))),
    )


def _item(number: int, *content: bytes) -> bytes:
    return atom(struct.pack(">I", number), *content)


def _key(name: bytes) -> bytes:
    return atom(b"keyd", b"mdta", name)


def _type(well_known: int) -> bytes:
    return atom(b"dtyp", struct.pack(">II", 0, well_known))


STILL_KEYS = _item(1, _key(STILL_IMAGE_TIME), _type(INT8)) + _item(2, _key(STILL_IMAGE_TRANSFORM), _type(MATRIX))
# the sample at the time of the photo: as in a phone's files -1, and that the photo lies as the movie does
STILL = _item(1, struct.pack(">b", -1)) + _item(2, struct.pack(">9d", *EYE))


def _camera(nanoseconds: int) -> bytes:
    """The sample of a frame: that the camera stood still, which is so.

    Version 3, of 136 bytes, little-endian, as reverse engineering has it (docs/formats.md): exposure, focus position,
    motion of the centre, motion blur, zoom, gain, focus, which of these are known, no faces; then which of the next
    are known, the homography of the camera's path, the time of the frame, and the same before frames were dropped.
    """
    known = 0x04 | 0x08 | 0x10, 0x01 | 0x02 | 0x04
    seen = struct.pack("<IfqffffffBBHI16x", 3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, known[0], 0)
    return _item(1, seen, struct.pack("<H2x9fQQ16x", known[1], *EYE, nanoseconds, nanoseconds))


def _camera_keys(video: Track) -> bytes:
    """With the version of the records and the size in whose pixels the path is."""
    version = plistlib.dumps({"LivePhotoMetadataSetupDataVersion": 1}, fmt=plistlib.FMT_BINARY)
    setup = atom(b"setu", atom(b"cfgv", version), atom(b"dims", struct.pack(">II", *video.size)))
    own = atom(b"dtyp", struct.pack(">I", 1), CAMERA_TYPE)  # 1: by name
    return _item(1, _key(CAMERA), own, setup, atom(b"ctps", _type(RAW)))


def _track(number: int, marks: _Marks, video: Track, movie_clock: int) -> bytes:
    """A track of timed metadata about the video."""
    ticks = sum(count * each for count, each in marks.durations)
    begin, duration = (round(time * movie_clock / video.clock) for time in (marks.start, ticks))
    edits = [struct.pack(">IiI", *edit, 0x10000) for edit in (*[(begin, -1)] * bool(begin), (duration, 0))]
    header = struct.pack(">8xI4xI16x", number, begin + duration) + IDENTITY + struct.pack(">8x")
    description = atom(b"mebx", struct.pack(">6xH", 1), atom(b"keys", marks.keys))
    large, count = marks.at >= 2**32, len(marks.samples)
    table = atom(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), description),
        _full(b"stts", struct.pack(">I", len(marks.durations)), *(struct.pack(">II", *run) for run in marks.durations)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),  # in one chunk
        _full(b"stsz", struct.pack(">II", len(marks.samples[0]), count)),
        _full(b"co64" if large else b"stco", struct.pack(">IQ" if large else ">II", 1, marks.at)),
    )
    media = atom(
        b"minf",
        atom(b"gmhd", _full(b"gmin", struct.pack(">HHHHhH", 0x40, 0x8000, 0x8000, 0x8000, 0, 0))),
        _full(b"hdlr", struct.pack(">4s4s12x", b"dhlr", b"url "), b"\0"),
        atom(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1))),  # in this file
        table,
    )
    return atom(
        b"trak",
        _full(b"tkhd", header, flags=ENABLED),
        atom(b"tref", atom(b"cdsc", struct.pack(">I", video.number))),
        atom(b"edts", _full(b"elst", struct.pack(">I", len(edits)), *edits)),
        atom(
            b"mdia",
            _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, video.clock, ticks, UNDETERMINED, 0)),
            _full(b"hdlr", struct.pack(">4s4s12x", b"mhlr", b"meta"), b"\0"),
            media,
        ),
    )
