"""Reads pages as a browser would."""

from html.parser import HTMLParser

VOID = ("meta", "img", "input", "source", "br")


class Read(HTMLParser):
    """The tags of a page with their attributes, its text and the cells of its tables. Every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[tuple[str, str]] = []  # each with the tag that it is in
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        self.texts.append((inside, data))
        if "tr" in self._open:
            self.rows[-1][-1] += data.strip()

    @property
    def names(self) -> list[str]:
        return [tag for tag, _ in self.tags]

    @property
    def text(self) -> str:
        """Without styles, scripts and code."""
        return "".join(f"{text}\n" for tag, text in self.texts if tag not in ("style", "script", "code"))

    def values(self, *attributes: str) -> list[str]:
        return [value for _, given in self.tags for name, value in given.items() if name in attributes]

    def of(self, tag: str) -> dict[str, str]:
        """The attributes of the first such tag."""
        return next(given for name, given in self.tags if name == tag)
