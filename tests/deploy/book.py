"""The site of the documents: it is built with and without the address of a repository, and its links lead somewhere."""

import os
import pathlib
import re
import tempfile
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

from suite import ROOT, complaints_of, run

SOURCE = "https://git.example/meet/gateway"


class Page(HTMLParser):
    """The ids of a page, its links, what a browser loads for it, and its text."""

    def __init__(self, file):
        super().__init__()
        self.ids, self.links, self.loaded, self.text = set(), [], [], []
        self.feed(file.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        loaded = attrs.get("src") or (attrs.get("href") if tag == "link" else None)
        if loaded:
            self.loaded.append(loaded)

    def handle_data(self, data):
        self.text.append(data)


def check(suite):
    os.environ["MDBOOK"] = suite.tool("mdbook")
    build = ROOT / "deploy" / "site"
    with tempfile.TemporaryDirectory() as folder:
        plain, linked, other = (pathlib.Path(folder, name) for name in ("plain", "linked", "other"))
        suite.check("book: it is built", lambda: complaints_of(build, plain))
        suite.check("book: it is built with links to the repository", lambda: complaints_of(build, linked, "--source", SOURCE))
        suite.check("book: every page of the documents is in it", lambda: missing(plain))
        suite.check("book: links lead to pages, headings and files", lambda: broken(plain))
        suite.check("book: links to source lead to the repository", lambda: broken(linked) + sources(linked))
        suite.check("book: a browser loads nothing from elsewhere", lambda: foreign(plain))
        suite.check("book: marks for tests are not in it", lambda: marks(plain))
        suite.check("book: an earlier site is replaced", lambda: replaced(build, plain))
        suite.check("book: other files are not", lambda: kept(build, other))


def html(folder):
    """The pages by their paths; toc.html is the same list in a frame for browsers without scripts."""
    return {file: Page(file) for file in folder.rglob("*.html") if file.name != "toc.html"}


def missing(folder):
    pages = [file.relative_to(ROOT) for file in (ROOT / "docs").rglob("*.md") if file.name != "SUMMARY.md"]
    pages += [pathlib.Path(name) for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    complaints = [] if len(pages) > 50 else [f"only {len(pages)} pages"]
    contents = (folder / "toc.html").read_text()
    for page in pages:
        name = re.sub(r"README\.md$", "index.md", str(page)).removesuffix(".md") + ".html"
        title = re.search(r"^# (.*)$", (ROOT / page).read_text(), re.M)[1]
        if not (folder / name).is_file():
            complaints.append(f"{name} is missing: list {page} in docs/SUMMARY.md")
        elif title.replace("`", "") not in "".join(Page(folder / name).text):
            complaints.append(f"{name} has no heading {title!r}")
        if f'href="{name}"' not in contents:
            complaints.append(f"{name} is not in the list of pages")
    return complaints


def broken(folder):
    pages = html(folder)
    complaints, seen = [], 0
    for file, page in pages.items():
        # The page of errors is shown at any address, so its links begin at the root.
        base = folder if file.name == "404.html" else file.parent
        for link in page.links + page.loaded:
            path, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", path):
                continue
            seen += 1
            target = (base / path.lstrip("/")).resolve() if path else file
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                complaints.append(f"{file.relative_to(folder)}: {link} does not exist")
            elif anchor and target in pages and anchor not in pages[target].ids:
                complaints.append(f"{file.relative_to(folder)}: {link} has no such heading")
    return complaints or ([] if seen > 500 else [f"only {seen} links"])


def sources(folder):
    """Complaints about links into the repository: each names a file of the commit."""
    commit = run("git", "rev-parse", "HEAD")[1].strip()
    begin = f"{SOURCE}/blob/{commit}/"
    links = {link for page in html(folder).values() for link in page.links if link.startswith(SOURCE) and link != SOURCE}
    complaints = [link for link in sorted(links) if not link.startswith(begin) or not (ROOT / link.removeprefix(begin)).exists()]
    return complaints or ([] if len(links) > 50 else [f"only {len(links)} links"])


def foreign(folder):
    return [f"{file.name}: {address}" for file, page in html(folder).items() for address in page.loaded if re.match(r"([a-z]+:)?//", address)]


def marks(folder):
    return [str(file) for file in folder.rglob("*.html") if re.search(r"<!-- (run|needs|file|fragment)\b", file.read_text())]


def replaced(build, folder):
    (folder / "earlier.html").write_text("earlier")
    complaints = complaints_of(build, folder)
    return complaints or ([] if not (folder / "earlier.html").exists() else ["a page of the earlier site is left"])


def kept(build, folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("notes")
    code, text = run(build, folder)
    if code == 0 or (folder / "notes.txt").read_text() != "notes":
        return [f"exit {code}: {text}"]
    return [] if "is left as it is" in text else [text]
