"""The live page in a real browser, against a running daemon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from daemons import SYMBOLS, config_text, inside, simulation
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SOON_MS = 15_000
USDM, BTC = "binance_usdm", "BTC/USDT:USDT"

pytestmark = pytest.mark.browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        if os.environ.get("IMBALANCED_REQUIRE_ALL") == "1":
            pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
        pytest.skip(f"no browser: apt-get install chromium for {CHROMIUM}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        await browser.close()


class Watched:
    """A page with everything that went wrong on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: self.wrong.append(f"failed: {request.url}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")


async def test_it_shows_live_books_and_signals_and_says_when_they_are_old(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page)
    async with (
        simulation("binance", USDM) as market,
        inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon,
    ):
        answer = await page.goto(daemon.http + "/")
        assert answer is not None
        policy = await answer.header_value("content-security-policy") or ""
        assert "unsafe-inline" not in policy
        assert "script-src 'self'" in policy or "default-src 'self'" in policy
        await expect(page.locator("#link")).to_have_text("● live", timeout=SOON_MS)
        books = page.locator("#books article")
        await expect(books).to_have_count(2 * len(SYMBOLS), timeout=SOON_MS)
        await expect(page.locator('#books article[data-state="live"]')).to_have_count(4, timeout=SOON_MS)
        await expect(page.locator("#counts")).to_have_text("4 of 4 live")
        rows = page.locator("#signals tr:not(.empty)")
        await expect(rows.nth(5)).to_be_visible(timeout=SOON_MS)
        assert {text.split()[-1] for text in await page.locator("#signals td:nth-child(3)").all_inner_texts()} <= {
            "buy",
            "sell",
        }
        mid = await books.first.locator(".mid").inner_text()
        assert float(mid) > 0
        await expect(page.locator("#books article.stale")).to_have_count(0, timeout=SOON_MS)
        await expect(page.locator("#facts")).to_contain_text("websocket ✓")
        await page.screenshot(path=shot("live"))
        # One book is lost and comes back.
        market.inject({"fault": "http", "venue": USDM, "stream": "btcusdt@depth", "status": 500})
        market.inject({"fault": "drop", "venue": USDM, "stream": "btcusdt@depth"})
        lost = page.locator('#books article[data-state="invalid"]')
        await expect(lost).to_contain_text("✕", timeout=SOON_MS)
        await expect(lost).to_have_count(0, timeout=SOON_MS)
        assert watched.wrong == []
    # The daemon is gone.
    await expect(page.locator("#link")).to_have_attribute("data-state", "down", timeout=SOON_MS)
    await expect(page.locator("#books article.stale")).to_have_count(4, timeout=SOON_MS)
    await page.screenshot(path=shot("gone"))


async def test_a_narrow_screen_needs_no_sideways_scrolling(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await browser.new_page(viewport={"width": 390, "height": 800})
    watched = Watched(page)
    async with simulation(USDM) as market, inside(config_text(tmp_path, market.endpoints), monkeypatch) as daemon:
        await page.goto(daemon.http + "/")
        await expect(page.locator("#signals tr:not(.empty)").nth(3)).to_be_attached(timeout=SOON_MS)
        wide: Any = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide
        await page.locator("#palette").check()
        assert await page.evaluate("document.documentElement.classList.contains('blue')")
        await page.screenshot(path=shot("narrow"))
        assert watched.wrong == []
        await page.close()


def shot(name: str) -> str | None:
    """Where a picture goes, for those who want to see: IMBALANCED_SHOTS names a folder."""
    folder = os.environ.get("IMBALANCED_SHOTS")
    return f"{folder}/page-{name}.png" if folder else None
