"""Every page as a phone loads it. A file of its own: with xdist it runs beside the desktop's."""

from __future__ import annotations

import pytest
from audit import audit
from site_tools import open_page, pages

pytestmark = [pytest.mark.site, pytest.mark.browser]


@pytest.mark.parametrize("name", pages())
def test_nothing_serious_for_axe_on_a_phone(address, browser, axe, name):
    with open_page(browser, f"{address}/{name}", width=390) as (page, trouble):
        found = audit(page, axe)
        assert not found, "\n".join(found)
        assert trouble.external == []
        assert trouble.errors == []
