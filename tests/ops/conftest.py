from collections.abc import Iterator

import pytest

from stylecine.ops import native


@pytest.fixture(params=[True, False], ids=["native", "reference"])
def either(request: pytest.FixtureRequest) -> Iterator[None]:
    """What is true of the kernel is true of its reference."""
    if request.param:
        yield
    else:
        with native.disabled():
            yield
