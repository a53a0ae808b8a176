"""Lets PyTorch's threads spin while they wait for each other, as they do by default; to be imported before PyTorch.

The package curbs that (stylecine/machine/threads.py) for the sake of other programs. On an idle machine it slows down
the many small operations of the published method and the references, by up to two on two threads, and not our kernels.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "300000")  # GNU OpenMP's default
