"""What makes a QuickTime movie the video of a Live Photo: its identifier, and a track that marks the time of the photo.

Atoms, their fields and the keys are described in Apple's QuickTime File Format, "Metadata" and "Timed metadata media".
Nothing in them tells when the file was written: all dates are 0, or when the photo was taken.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

CONTENT_IDENTIFIER = "com.apple.quicktime.content.identifier"
STILL_IMAGE_TIME = b"com.apple.quicktime.still-image-time"
UTF8, INT8 = 1, 65  # well-known types of values
MAX_MOOV = 200_000_000  # bytes; twelve hours of video have less
IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
ENABLED = 3  # and in the movie
UNDETERMINED = 0x55C4  # language


def mark_live_photo(path: Path, identifier: str, seconds: float, metadata: Mapping[str, str] | None = None) -> None:
    """Makes a movie, as FFmpeg writes it, the video of the Live Photo `identifier`, whose photo is its first frame.

    seconds: how long that frame is shown. metadata: further keys and values.
    """
    metadata = {CONTENT_IDENTIFIER: identifier, **(metadata or {})}
    with path.open("rb+") as file:
        begin, moov = read_moov(file)
        file.seek(begin)
        file.truncate()
        file.write(atom(b"mdat", _sample()))
        file.write(atom(b"moov", *_extended(moov, metadata, seconds, begin + 8)))


def content_identifier(path: Path) -> str:
    """The content identifier of a movie; "" if it has none or is damaged."""
    try:
        with path.open("rb") as file:
            _, moov = read_moov(file)
        meta = dict(atoms(moov))[b"meta"]
        if meta[4:8] != b"hdlr":  # version and flags, in MP4
            meta = meta[4:]
        parts = dict(atoms(meta))
        keys = [name for _, name in atoms(parts[b"keys"][8:])]
        number = struct.pack(">I", 1 + keys.index(CONTENT_IDENTIFIER.encode()))
        value = dict(atoms(dict(atoms(parts[b"ilst"]))[number]))[b"data"]
        return value[8:].decode()
    except (OSError, ValueError, KeyError, struct.error):
        return ""


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


def _extended(moov: bytes, metadata: Mapping[str, str], seconds: float, sample: int) -> Iterator[bytes]:
    """The atoms of a movie, with one more track and the metadata. sample: offset of the track's sample in the file."""
    parts = list(atoms(moov))
    movie = dict(parts)[b"mvhd"]
    assert movie[0] == 0  # version; 1 is for longer ones
    (timescale,), (track,) = struct.unpack_from(">I", movie, 12), struct.unpack_from(">I", movie, 96)
    tracks = [number for number, (kind, _) in enumerate(parts) if kind == b"trak"]
    video = dict(atoms(parts[tracks[0]][1]))[b"tkhd"]  # a sound may follow
    (video_track,) = struct.unpack_from(">I", video, 12)
    duration = max(1, round(seconds * timescale))
    for number, (kind, content) in enumerate(parts):
        if kind == b"mvhd":
            content = content[:96] + struct.pack(">I", track + 1)  # the next one's number
        yield atom(kind, content)
        if number == tracks[-1]:
            yield _track(track, video_track, timescale, duration, sample)
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


def _sample() -> bytes:
    """The only sample of the track. As in a phone's files its value is -1; the time is what counts."""
    return atom(struct.pack(">I", 1), struct.pack(">b", -1))


def _track(track: int, video_track: int, timescale: int, duration: int, sample: int) -> bytes:
    """A track of timed metadata that marks the first frame of another track."""
    header = struct.pack(">8xI4xI16x", track, duration) + IDENTITY + struct.pack(">8x")
    key = atom(
        struct.pack(">I", 1),
        atom(b"keyd", b"mdta", STILL_IMAGE_TIME),
        atom(b"dtyp", struct.pack(">II", 0, INT8)),  # 0: a well-known type
    )
    description = atom(b"mebx", struct.pack(">6xH", 1), atom(b"keys", key))
    large = sample >= 2**32
    offset = _full(b"co64" if large else b"stco", struct.pack(">IQ" if large else ">II", 1, sample))
    table = atom(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), description),
        _full(b"stts", struct.pack(">III", 1, 1, duration)),  # one sample
        _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),  # in one chunk
        _full(b"stsz", struct.pack(">II", len(_sample()), 1)),
        offset,
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
        atom(b"tref", atom(b"cdsc", struct.pack(">I", video_track))),
        atom(b"edts", _full(b"elst", struct.pack(">IIII", 1, duration, 0, 0x10000))),
        atom(
            b"mdia",
            _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, timescale, duration, UNDETERMINED, 0)),
            _full(b"hdlr", struct.pack(">4s4s12x", b"mhlr", b"meta"), b"\0"),
            media,
        ),
    )
