// What a reader's browser makes of the page: its theme, overflow, images, formulas and text contrast (WCAG 2.2, 1.4.3).
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    if (!element) return [255, 255, 255, 1];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, background(element.parentElement));
  };
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (element) => {
    const ground = background(element);
    const [low, high] = [luminance(over(rgba(getComputedStyle(element).color), ground)), luminance(ground)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const faint = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !element.checkVisibility({ visibilityProperty: true }) || element.closest("svg, mjx-container")) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    texts += 1;
    const ratio = contrast(element);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} <${element.tagName} class="${element.className}"> ${words.slice(0, 30)}`);
  }
  return {
    theme: document.documentElement.dataset.theme,
    overflow: document.scrollingElement.scrollWidth - innerWidth,
    brokenImages: [...document.images].filter((image) => image.src && !image.naturalWidth).map((image) => image.src),
    formulas: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll(".math mjx-container > svg").length,
    formulaErrors: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
    texts,
    faint,
  };
}
