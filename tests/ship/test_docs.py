"""Every link from a page to another, or to a heading, leads somewhere."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

from . import places

PAGES = sorted([*places.ROOT.glob("*.md"), *places.ROOT.glob("docs/*.md")])


def prose(path: Path) -> str:
    """Without blocks of code, in which nothing is a link or a heading."""
    return re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ +(.*)$", prose(path), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def links(path: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    return [link for link in found if not link.startswith(("http://", "https://"))]


class Docs(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        checked = 0
        for page in PAGES:
            for link in links(page):
                name, _, anchor = link.partition("#")
                target = (page.parent / name).resolve() if name else page
                with self.subTest(page=page.name, link=link):
                    self.assertTrue(target.exists(), "there is no such file")
                    if anchor:
                        self.assertIn(anchor, anchors(target))
                checked += 1
        self.assertGreater(checked, 20)

    def test_the_readme_leads_to_every_page(self):
        named = set(links(places.ROOT / "README.md"))
        for page in places.ROOT.glob("docs/*.md"):
            with self.subTest(page.name):
                self.assertTrue(any(link.startswith(f"docs/{page.name}") for link in named))
