// Tables of class "filtered": show the form above them and hide the rows that do not match it.
// Hyphens and spaces do not count, so that "grad cam" finds GradCAM and Grad-CAM.
const plain = (text) => text.toLowerCase().replace(/[-\s]/g, "");
for (const form of document.querySelectorAll("form.table-filter")) {
  const rows = [...document.getElementById(form.dataset.table).querySelectorAll("tbody tr")];
  const search = form.querySelector("input");
  const menus = [...form.querySelectorAll("select")];
  const update = () => {
    const words = search.value.split(/\s+/).map(plain);
    for (const row of rows) {
      const text = plain(row.textContent);
      const chosen = menus.every(
        (menu) => !menu.value || row.cells[menu.dataset.column].textContent.trim() === menu.value,
      );
      row.hidden = !(chosen && words.every((word) => text.includes(word)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    form.querySelector("[role=status]").textContent = `Rows shown: ${shown} of ${rows.length}`;
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update)); // the fields are empty only after the event
  form.hidden = false;
  update();
}
