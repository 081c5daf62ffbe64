"""Screenshots as arrays."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from playwright.sync_api import Page

INSET = 8
"""Pixels at the edges that do not show the background, as there may be the mark of the focus."""


def picture(page: Page) -> np.ndarray:
    """What is on the canvas, without what lies over it: float [H, W, 3] in 0…255."""
    over = page.locator("#tools, #facts, #progress")
    over.evaluate_all("all => all.forEach(e => (e.style.visibility = 'hidden'))")
    content = page.locator("#view").screenshot()
    over.evaluate_all("all => all.forEach(e => (e.style.visibility = ''))")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), float)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ visibly."""
    return float((np.abs(one - other).max(axis=2) > 12).mean())


def drawn(image: np.ndarray) -> np.ndarray:
    """Pixels [H, W] that are far from the page's background, as the corners show it."""
    inner = image[INSET:-INSET, INSET:-INSET]
    background = np.stack([inner[0, 0], inner[0, -1], inner[-1, 0], inner[-1, -1]]).mean(axis=0)
    return np.abs(image - background).max(axis=2) > 30
