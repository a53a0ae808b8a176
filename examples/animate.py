"""One photo in, one loop out: python examples/animate.py PHOTO VIDEO"""

import sys

import stylecine

photo, video = sys.argv[1:]
loop = stylecine.animate(photo, seconds=4, fps=30)
loop.save(video)
print(f"{video}: {len(loop)} frames of {loop.width}x{loop.height}, seam {loop.seam:.2f}")
