import socket
import sys

import pytest

from stylecine.errors import OptionError
from stylecine.machine.cluster import check_version, connect
from tests.ray_cluster import on_loopback as on_loopback


def test_a_missing_cluster_is_reported(on_loopback: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        free = f"127.0.0.1:{busy.getsockname()[1]}"
    with pytest.raises(OptionError, match=f"There is no Ray cluster at '{free}'"):
        connect(free)
    with pytest.raises(OptionError, match="There is no Ray cluster at 'nonsense'"):
        connect("nonsense")


def test_missing_ray_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"pip install 'stylecine\[ray\]'"):
        connect("auto")


def test_nodes_have_the_same_version() -> None:
    with pytest.raises(OptionError, match=r"has stylecine 0\.0, and this machine"):
        check_version("0.0")
