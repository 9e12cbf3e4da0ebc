"""The built book as one PDF, for paper and for readers without a browser: ``make pdf``.

Chromium prints each page with the book's print style, with every solution open; pypdf puts them together. A link to
another page of the book leads to that page of the PDF, and the outline is the table of contents.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag

sys.path.insert(0, str(Path(__file__).resolve().parent))
import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, NullObject
from site_tools import ROOT, SITE, find_chromium, launch, open_page, serve

TARGET = SITE.parent / "orthogonality-lab.pdf"
# Solutions and checks are open; the code that only draws a figure, which the page hides, is left out.
OPEN = """() => {
  document.querySelectorAll('details.hide').forEach(e => e.remove());
  document.querySelectorAll('details').forEach(e => e.open = true);
  document.querySelectorAll('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'));
}"""
TITLE = """e => [...e.childNodes].filter(n => !(n.classList && n.classList.contains('headerlink')))
  .map(n => n.textContent).join('').trim()"""
FOOT = (
    '<div style="font: 8px sans-serif; color: #666; width: 100%; padding: 0 15mm; display: flex; '
    'justify-content: space-between"><span class="title"></span><span class="pageNumber"></span></div>'
)


def contents(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """List the part ("" for none) and the document of every page, in the order of ``_toc.yml``."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    yield "", toc["root"]
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            yield part["caption"], chapter["file"]


def printed(browser: object, url: str) -> tuple[str, PdfReader]:
    """Print one page; return its title and the PDF."""
    with open_page(browser, url) as (page, _):
        page.evaluate(OPEN)
        page.emulate_media(media="print", color_scheme="light")
        data = page.pdf(format="A4", print_background=True, display_header_footer=True, header_template="<span></span>",
                        footer_template=FOOT,
                        margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"})  # fmt: skip
        title = page.locator("article h1").first.evaluate(TITLE)
    return title, PdfReader(io.BytesIO(data))


def put_together(chapters: list[tuple[str, str, str, PdfReader]], base: str) -> PdfWriter:
    """Make one PDF of (part, document, title, pages); ``base`` is the address that the pages were printed from.

    A link inside a page goes where it went; one to another page of the book goes to that page's first; the others stay.
    """
    writer, first = PdfWriter(), {}
    for _, name, _, reader in chapters:
        first[f"{base}/{name}.html"] = len(writer.pages)
        for page in reader.pages:
            writer.add_page(page)
    part, above = "", None
    for caption, name, title, reader in chapters:
        start = first[f"{base}/{name}.html"]
        if caption != part:
            part, above = caption, writer.add_outline_item(title=caption, page_number=start)
        writer.add_outline_item(title=title, page_number=start, parent=above if caption else None)
        names = reader.named_destinations
        for number in range(start, start + len(reader.pages)):
            for entry in writer.pages[number].get("/Annots", ()):
                _turn(entry.get_object(), writer, reader, names, start, first)
    writer.add_metadata({"/Title": "Orthogonality Lab", "/Author": "The Orthogonality Lab authors"})
    return writer


def _turn(link: DictionaryObject, writer: PdfWriter, reader: PdfReader, names: dict, start: int, first: dict) -> None:
    """Make a link of one printed page lead to the right page of the whole."""
    action = link.get("/A", {})
    action = action.get_object() if action else {}
    address, _ = urldefrag(str(action.get("/URI", "")))
    wanted = link.get("/Dest") or action.get("/D")
    if address in first:
        place = ArrayObject([writer.pages[first[address]].indirect_reference, NameObject("/Fit")])
    elif isinstance(wanted, str) and wanted in names:
        found = names[wanted]
        page = writer.pages[start + reader.get_destination_page_number(found)].indirect_reference
        top = FloatObject(found.top) if found.top is not None else NullObject()
        place = ArrayObject([page, NameObject("/XYZ"), NullObject(), top, NullObject()])
    else:
        return
    link.pop("/A", None)
    link[NameObject("/Dest")] = place


def main(words: list[str]) -> int:
    """Print the pages whose name contains one of ``words`` (all if there is none) into ``_build``."""
    from playwright.sync_api import sync_playwright

    if not find_chromium():
        print("error: no Chromium was found (install Debian's chromium, or set CHROMIUM)", file=sys.stderr)
        return 1
    chapters = []
    with serve(SITE) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for part, name in contents():
            if words and not any(word in name for word in words):
                continue
            title, reader = printed(browser, f"{address}/{name}.html")
            chapters.append((part, name, title, reader))
            print(f"{len(reader.pages):4d} pages: {title}", flush=True)
        browser.close()
    if not chapters:
        print(f"error: no page of the book has {' or '.join(words)} in its name", file=sys.stderr)
        return 1
    writer = put_together(chapters, address)
    writer.compress_identical_objects(remove_unreferenced=True)  # the fonts, which every page brings
    writer.write(TARGET)
    print(f"\nThe book is one file of {len(writer.pages)} pages, {TARGET.stat().st_size / 1e6:.0f} MB:\n  {TARGET}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
