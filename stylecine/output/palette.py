"""How people see what moves: its name and its colour in pictures, on pages and in the studio."""

from dataclasses import dataclass

from stylecine.options import CLASSES


@dataclass(frozen=True)
class Shown:
    """colour: as in HTML. word: what a sentence calls that."""

    name: str
    colour: str
    word: str

    @property
    def rgb(self) -> tuple[int, ...]:
        """0 to 255."""
        return tuple(bytes.fromhex(self.colour.removeprefix("#")))


# Of what can be painted, in the order of PAINTS, and of plants. Names can be read in these colours on dark panels.
SHOWN = {
    "sky": Shown("Sky", "#79b4ff", "blue"),
    "water": Shown("Water", "#2fd4c2", "turquoise"),
    "falls": Shown("Falls", "#b79bff", "violet"),
    "smoke": Shown("Smoke", "#ffb45e", "orange"),
    "cloth": Shown("Cloth", "#b8e06a", "lime"),
    "plants": Shown("Plants", "#3fae5c", "green"),
}


def legend() -> str:
    """Which classes have which colours, in words."""
    return ", ".join(f"{SHOWN[name].name} {SHOWN[name].word}" for name in CLASSES).capitalize()
