"""Google's Motion Photo: a JPEG that says in its XMP that an MP4 follows in the same file.

https://developer.android.com/media/platform/motion-photo-format describes version 1.0.
"""

import struct
from pathlib import Path
from xml.etree import ElementTree

from stylecine.errors import VideoError
from stylecine.output.panorama import RDF

JPEGS = (".jpg", ".jpeg")
XMP = b"http://ns.adobe.com/xap/1.0/\0"  # begins a segment with XMP
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, 0xD9
CAMERA = "http://ns.google.com/photos/1.0/camera/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ITEM = "http://ns.google.com/photos/1.0/container/item/"
PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">
<rdf:Description rdf:about="" xmlns:GCamera="{CAMERA}" xmlns:Container="{CONTAINER}" xmlns:Item="{ITEM}"
 GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MotionPhotoPresentationTimestampUs="0">
<Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary" Item:Length="0"
 Item:Padding="0"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="video/mp4" Item:Semantic="MotionPhoto"
 Item:Length="{{length}}" Item:Padding="0"/></rdf:li>
</rdf:Seq></Container:Directory></rdf:Description>{{described}}</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def motion_photo_xmp(length: int, described: str = "") -> str:
    """The XMP of a JPEG that is followed by a video of `length` bytes and begins with its first frame. described: a
    further description."""
    return PACKET.format(length=length, described=described)


def motion_photo_video(path: Path) -> bytes | None:
    """The video in a Motion Photo; None if the file is something else or unreadable.

    Raises VideoError if the video is damaged or cut short.
    """
    if path.suffix.lower() not in JPEGS:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    items = _items(_xmp(content))
    place = next((k for k, (semantic, _) in enumerate(items) if semantic == "MotionPhoto"), None)
    if place is None:
        return None
    begin = len(content) - sum(length for _, length in items[place:])
    video = content[begin : begin + items[place][1]] if 0 < begin < len(content) else b""
    if video[4:8] != b"ftyp":
        raise VideoError(f"The video in '{path}' is damaged or cut short; copy the file again.")
    return video


def _xmp(content: bytes) -> bytes:
    """The first XMP packet of a JPEG, which need not be readable otherwise; b"" without one."""
    offset = 2
    while content[:2] == b"\xff\xd8" and offset + 4 <= len(content):
        fill, marker, length = struct.unpack_from(">BBH", content, offset)
        if fill != 0xFF or marker in (START_OF_SCAN, END_OF_IMAGE) or length < 2:
            break
        segment = content[offset + 4 : offset + 2 + length]
        if marker == APP1 and segment.startswith(XMP):
            return segment[len(XMP) :]
        offset += 2 + length
    return b""


def _items(packet: bytes) -> list[tuple[str, int]]:
    """What each part of the file is, and its bytes with the padding after it; empty unless it is a Motion Photo."""
    if b"<!" in packet or b"\0" in packet:  # a document type could define entities; in UTF-16 it would not be seen
        return []
    try:
        described = list(ElementTree.fromstring(packet).iter(f"{{{RDF}}}Description"))
        if not any(node.get(f"{{{CAMERA}}}MotionPhoto") == "1" for node in described):
            return []
        return [
            (item.get(f"{{{ITEM}}}Semantic", ""), _number(item, "Length") + _number(item, "Padding"))
            for node in described
            for item in node.iter(f"{{{CONTAINER}}}Item")
        ]
    except (ElementTree.ParseError, ValueError, LookupError):  # the last: of an unknown encoding
        return []


def _number(item: ElementTree.Element, name: str) -> int:
    """A number of bytes; 0 if it is not given. Raises ValueError."""
    number = int(item.get(f"{{{ITEM}}}{name}", "0")[:20])
    if number < 0:
        raise ValueError(name)
    return number
