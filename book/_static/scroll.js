// What is larger than its place scrolls in it: the keyboard reaches it, it has a name, and one sees that there is more.
const places = document.querySelectorAll(
  ".bd-article :is(.table-scroll, .pst-scrollable-table-container, .cell_output .output, mjx-container)",
);

const SLACK = 4; // pixels: a slanted letter of a formula hangs over its own box by some

const named = (place) => {
  if (place.localName === "mjx-container") return "Formula";
  const title = place.querySelector("caption") ?? place.closest("section")?.querySelector("h1, h2, h3, h4");
  return title?.innerText.replace(/#$/, "").trim() || "Table";
};

const look = (place) => {
  const { overflowX, overflowY } = getComputedStyle(place);
  const wide = place.scrollWidth > place.clientWidth + SLACK && overflowX === "auto";
  const long = place.scrollHeight > place.clientHeight + SLACK && overflowY === "auto";
  place.classList.toggle("more-right", wide && place.scrollLeft + place.clientWidth < place.scrollWidth - 1);
  place.classList.toggle("more-below", long && place.scrollTop + place.clientHeight < place.scrollHeight - 1);
  if (!wide && !long) {
    for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
  } else if (place.tabIndex !== 0 || !place.hasAttribute("role")) {
    place.tabIndex = 0;
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", named(place));
  }
  const table = place.querySelector("table");
  if (!table) return;
  let hint = place.previousElementSibling;
  if (!hint?.matches(".scroll-hint")) {
    hint = Object.assign(document.createElement("p"), { className: "scroll-hint", ariaHidden: "true" });
    place.before(hint);
  }
  const ways = [wide && "sideways", long && "down"].filter(Boolean).join(" and ");
  hint.textContent = ways && `There is more of this table: scroll ${ways}.`;
};

const sizes = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
for (const place of places) {
  sizes.observe(place);
  place.addEventListener("scroll", () => look(place), { passive: true });
}
