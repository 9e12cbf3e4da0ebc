"""The book as one PDF: titles, the outline, and links that lead to the right page of the whole."""

from __future__ import annotations

import pytest
from print_book import contents, printed, put_together
from pypdf import PdfReader
from site_tools import serve, toc_files

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><title>{title}</title></head><body><article>
<h1>{title}<a class="headerlink" href="#top">#</a></h1>
<p><a href="#end">to the end</a> <a href="{other}#end">to the other</a> <a href="https://example.org/x">out</a></p>
<details class="hide"><p>only a figure's code</p></details>
<details><summary>Solution</summary><p>the answer is {answer}</p></details>
<div style="height: 1500px"></div><h2 id="end">The end of {title}</h2></article></body></html>"""


@pytest.fixture(scope="module")
def book(browser, tmp_path_factory) -> PdfReader:
    """Two pages that link each other, printed and put together."""
    folder = tmp_path_factory.mktemp("printed")
    for name, title, other in (("one", "First", "two"), ("two", "Second", "one")):
        page = PAGE.format(title=title, other=f"{other}.html", answer=len(title))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    with serve(folder) as address:
        chapters = [("Part", name, *printed(browser, f"{address}/{name}.html")) for name in ("one", "two")]
        assert [len(reader.pages) for *_, reader in chapters] == [2, 2]
        target = folder / "book.pdf"
        put_together(chapters, address).write(target)
    return PdfReader(target)


def test_solutions_are_open_and_hidden_code_is_left_out(book):
    text = "".join(page.extract_text() for page in book.pages)
    assert "the answer is 5" in text
    assert "the answer is 6" in text
    assert "only a figure" not in text


def test_the_outline_is_the_table_of_contents(book):
    part, chapters = book.outline
    assert part.title == "Part"
    assert [(item.title, book.get_destination_page_number(item)) for item in chapters] == [("First", 0), ("Second", 2)]


def test_links_lead_to_the_right_page(book):
    numbers = {page.indirect_reference.idnum: k for k, page in enumerate(book.pages)}

    def targets(number: int) -> list[object]:
        links = [entry.get_object() for entry in book.pages[number]["/Annots"]]
        return [str(link["/A"]["/URI"]) if "/A" in link else numbers[link["/Dest"][0].idnum] for link in links]

    # Inside a page (the heading's own mark to its top, or the end), to the other, and out of the book.
    assert targets(0)[-3:] == [1, 2, "https://example.org/x"]
    assert targets(2)[-3:] == [3, 0, "https://example.org/x"]


def test_every_page_of_the_book_is_printed_once():
    assert [name for _, name in contents()] == toc_files()
