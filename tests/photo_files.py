"""Files of photos, written by hand where Pillow writes none: PNG with any chunks, and ICC profiles."""

import struct
import zlib

import numpy as np

XY = tuple[float, float]
D65 = (0.3127, 0.3290)
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))  # red, green and blue of Adobe RGB


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(values: np.ndarray, bits: int = 8, **chunks: bytes) -> bytes:
    """Floats in [0,1], [H,W,3], [H,W,4] or grey [H,W], as a PNG with these chunks before its pixels."""
    colour = 0 if values.ndim == 2 else {3: 2, 4: 6}[values.shape[2]]
    samples = np.round(values * ((1 << bits) - 1)).astype(f">u{bits // 8}")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour, 0, 0, 0)
    told = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + told + pixels + chunk(b"IEND", b"")


def adapted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Bradford's adaptation of XYZ from one white to another."""
    cones = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.linalg.inv(cones) @ np.diag((cones @ after) / (cones @ before)) @ cones


def profile(red: XY, green: XY, blue: XY, cicp: bytes = b"") -> bytes:
    """A matrix profile with these primaries, D65 and a gamma of 2.2; with a tag of H.273's code points, if given."""

    def xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    white, d50 = xyz(*D65), np.array([0.9642, 1.0, 0.8249])
    primaries = np.stack([xyz(*red), xyz(*green), xyz(*blue)], axis=1)
    columns = adapted(white, d50) @ (primaries * np.linalg.solve(primaries, white))

    def fixed(values: np.ndarray) -> bytes:
        return b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"wide\0" + bytes(78)
    tags = {b"desc": text + bytes(-len(text) % 4), b"cprt": b"text" + bytes(4) + b"free" + bytes(4)}
    tags |= {b"wtpt": b"XYZ " + bytes(4) + fixed(d50)}
    tags |= {name: b"XYZ " + bytes(4) + fixed(columns[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    tags |= {b"cicp": b"cicp" + bytes(4) + cicp} if cicp else {}
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = struct.pack(">I", offset + len(body))
    head = size + bytes(4) + b"\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + fixed(d50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
