"""The contrast of the text on a page, as WCAG 2 defines it."""

from __future__ import annotations

from playwright.sync_api import Page

# Draws the grounds behind a text, and then its colour, into one pixel: whatever colours and opacities
# there are, the browser itself works out the result.
_MEASURE = """
(selector) => {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const paper = document.body.appendChild(document.createElement("div"));
  paper.style.backgroundColor = "Canvas";
  const canvasColor = getComputedStyle(paper).backgroundColor;
  paper.remove();
  const parent = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host;
  const draw = (color, opacity) => {
    context.globalAlpha = opacity;
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
  };
  const pixel = () => [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  const luminance = (channels) => channels.map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (node, color) => {
    const around = [];
    for (let other = node; other; other = parent(other)) around.unshift(other);
    let opacity = 1;
    draw(canvasColor, 1);
    for (const other of around) {
      const style = getComputedStyle(other);
      opacity *= style.opacity;
      draw(style.backgroundColor, opacity);
    }
    const ground = luminance(pixel());
    draw(color, opacity);
    const text = luminance(pixel());
    return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
  };
  const all = (root) => [...root.querySelectorAll("*")]
    .flatMap((node) => [node, ...(node.shadowRoot ? all(node.shadowRoot) : [])]);
  const isShown = (node) => node.checkVisibility({ checkOpacity: true }) && !node.matches(":disabled, style, script");
  const found = [];
  for (const node of [...document.querySelectorAll(selector)].flatMap(all).filter(isShown)) {
    const words = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim());
    const { color } = getComputedStyle(node);
    if (words.join("")) found.push([words.join(" "), contrast(node, color)]);
    for (const pseudo of ["::before", "::placeholder"]) {
      const style = getComputedStyle(node, pseudo);
      const isThere = pseudo === "::placeholder" ? node.placeholder : style.content.match(/\\w/);
      const isText = isThere && style.content !== "none" && getComputedStyle(node).opacity > 0;
      if (isText) found.push([pseudo, contrast(node, style.color)]);
    }
  }
  return found;
}
"""


def contrasts(page: Page, within: str = "body") -> list[tuple[float, str]]:
    """Measure the contrast of each piece of text on a page, in shadow roots too.

    Text of disabled controls does not count.

    Args:
        page: The page.
        within: A selector of the elements whose text counts.

    Returns:
        The contrasts with their texts, the smallest first.
    """
    found: list[tuple[str, float]] = page.evaluate(_MEASURE, within)
    return sorted((ratio, text) for text, ratio in found)
