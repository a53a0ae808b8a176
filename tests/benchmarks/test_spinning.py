"""Which programs let PyTorch's threads spin."""

import os
import subprocess
import sys


def test_only_benchmarks_that_are_run_change_the_environment() -> None:
    """Servers that tests start inherit it, and would take minutes beside a busy program."""
    code = "import os, benchmarks.fps, benchmarks.kernels; print('GOMP_SPINCOUNT' in os.environ)"
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "False"
