"""A report's page as a browser reads it."""

import json
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, texts, and the figures that are described."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.figures, self.open = [], [], {}, ("", {})
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open = (tag, dict(attributes))

    def handle_data(self, text):
        tag, attributes = self.open
        if tag == "script" and "data-figure" in attributes:
            self.figures[attributes["data-figure"]] = json.loads(text)
        elif tag not in ("script", "style") and text.strip():
            self.texts.append(" ".join(text.split()))

    def handle_endtag(self, tag):
        self.open = ("", {})


def loads_nothing(page):
    """No tag of the page names an address; the policy allows only the scripts inside, by their digests."""
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    digests = r"'sha256-[A-Za-z0-9+/=]{44}'"
    others = "; style-src 'unsafe-inline'; img-src data: blob:"
    assert re.fullmatch(f"default-src 'none'; script-src {digests}( {digests})*{others}", policy)
    assert sum(tag == "script" and not attributes for tag, attributes in page.tags) == policy.count("sha256-") == 2
