"""The one palette: pictures, the page that explains a loop and the studio take what moves from it."""

from itertools import combinations

import numpy as np

from stylecine.options import PAINTS
from stylecine.output.palette import SHOWN, legend
from stylecine.server.declared import declared_js


def test_all_that_moves_has_a_name_and_a_colour_of_its_own() -> None:
    assert list(SHOWN) == [*PAINTS, "plants"]  # the order of the layers that a mask's picture gets
    for one, other in combinations(SHOWN.values(), 2):
        assert np.abs(np.subtract(one.rgb, other.rgb)).sum() > 60 and one.word != other.word


def test_the_legend_says_the_colours_in_words() -> None:
    assert legend() == "Sky blue, water turquoise, falls violet, smoke orange"
    assert SHOWN["sky"].rgb == (0x79, 0xB4, 0xFF)


def test_the_studio_has_the_same_names_and_colours() -> None:
    page = declared_js()
    assert '"sky": "#79b4ff"' in page and '"sky": "Sky"' in page
