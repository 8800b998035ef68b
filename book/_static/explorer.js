// Saliency explorers (medxai.report.saliency): colour the grey levels of the chosen map and lay them over the picture.
// Each picture and each sheet of maps is a script of its own (book/_ext/finish.py), or an address that holds it.
globalThis.explorerFiles = {};
const content = (address) => {
  if (address.startsWith("data:")) return address;
  const name = address.split("/").pop();
  if (name in explorerFiles) return explorerFiles[name];
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.addEventListener("load", () => resolve(explorerFiles[name]));
    script.addEventListener("error", reject);
    script.src = address;
    document.head.append(script);
  });
};

const load = async (address) => {
  const image = new Image();
  image.src = await content(address);
  await image.decode();
  return image;
};

const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

// The red channel of a part of an image: of a sheet, the grey levels of one map.
const part = (image, x, y, width, height) => {
  const context = canvasOf(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, x, y, width, height, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
};

// One canvas pixel for each level, in its colour.
const coloured = (levels, table, width, height) => {
  const canvas = canvasOf(width, height);
  const pixels = new ImageData(width, height);
  levels.forEach((level, i) => pixels.data.set([...table.subarray(3 * level, 3 * level + 3), 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
};

const grey = (picture) => {
  const pixels = part(picture, 0, 0, picture.naturalWidth, picture.naturalHeight);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const [r, g, b] = pixels.data.subarray(i, i + 3);
    pixels.data.fill(0.299 * r + 0.587 * g + 0.114 * b, i, i + 3);
  }
  return pixels;
};

// In which ninth of the map the values are largest on average, in words.
const strongest = (levels, zero, width, height) => {
  const sums = new Array(9).fill(0);
  levels.forEach((level, i) => {
    const row = Math.floor((3 * Math.floor(i / width)) / height);
    sums[3 * row + Math.floor((3 * (i % width)) / width)] += Math.abs(level - zero);
  });
  const most = Math.max(...sums);
  if (!most) return "zero everywhere";
  const ninth = sums.indexOf(most);
  const [row, column] = [["top", "middle", "bottom"][Math.floor(ninth / 3)], ["left", "centre", "right"][ninth % 3]];
  return ninth === 4 ? "strongest in the centre" : `strongest at the ${row} ${column}`;
};

const start = (root) => {
  const data = JSON.parse(root.querySelector("script").textContent);
  const tables = data.colours.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  const [height, width] = data.size;
  const menus = [...root.querySelectorAll("select")];
  const [view, legend] = root.querySelectorAll("canvas");
  const image = root.querySelector(".explorer-views img");
  const [low, high] = root.querySelectorAll(".explorer-legend span");
  let latest = 0;

  const draw = async () => {
    const turn = ++latest;
    const [picture, target, method] = menus.map((menu) => menu.selectedIndex);
    const own = data.pictures[picture]; // one picture, or one for each class
    const address = own[target % own.length];
    const [shown, sheet] = await Promise.all([load(address), load(data.sheets[method])]);
    if (turn !== latest) return; // a later choice has overtaken this one
    const signed = data.signed[method];
    const table = tables[Number(signed)];
    const levels = part(sheet, target * width, picture * height, width, height).data.filter((_, i) => i % 4 === 0);
    const context = Object.assign(view, { width: shown.naturalWidth, height: shown.naturalHeight }).getContext("2d");
    context.putImageData(grey(shown), 0, 0);
    context.globalAlpha = root.querySelector("input").value / 100;
    context.drawImage(coloured(levels, table, width, height), 0, 0, view.width, view.height);
    legend.getContext("2d").drawImage(coloured(Uint8Array.from({ length: 256 }, (_, i) => i), table, 256, 1), 0, 0);
    [low.textContent, high.textContent] = signed ? ["against the class", "for it"] : ["none", "strongest"];
    const [name, className, title] = menus.map((menu) => menu.value);
    const said = data.said.length ? ` ${data.said[picture][target]}` : "";
    const words = `${title}, ${className}, ${name}: ${strongest(levels, signed ? 128 : 0, width, height)}.${said}`;
    image.src = shown.src;
    for (const path of root.querySelectorAll("path")) path.setAttribute("d", data.outlines[picture] ?? "");
    image.alt = name;
    view.setAttribute("aria-label", `Map: ${words}`);
    const status = root.querySelector("[role=status]");
    if (status.textContent !== words) status.textContent = words; // the slider is not worth an announcement
  };

  root.addEventListener("input", draw);
  root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  draw().then(() => {
    root.querySelector(".explorer-still").hidden = true;
    root.querySelector(".explorer-live").hidden = false;
  });
};

// An explorer loads its first map when the reader comes near it.
const near = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      start(target);
    }
  },
  { rootMargin: "600px" },
);
document.querySelectorAll(".explorer").forEach((root) => near.observe(root));
