"""An HTML page, parsed for its tags; nesting is checked on the way."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class Page(HTMLParser):
    """``tags`` in order with their attributes; ``open`` is empty at the end of a well-formed page."""

    VOID = frozenset({"meta", "img", "source", "link", "br", "hr", "wbr"})

    def __init__(self, source: Path | str) -> None:
        super().__init__()
        self.tags, self.open = [], []
        self.feed(source.read_text(encoding="utf-8") if isinstance(source, Path) else source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, name):
        """The attributes of every tag of that name."""
        return [attrs for tag, attrs in self.tags if tag == name]
