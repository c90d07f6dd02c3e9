/* A table that is wider than a phone is read downwards: a row becomes a list,
   each entry after the heading of its column. Figures that are wider than the
   window scroll sideways: the keyboard can reach them then, and the style sheet
   says so beside them. */
(() => {
  const phone = matchMedia("(max-width: 40rem)");
  const wide = (part) => part.scrollWidth > part.clientWidth + 1;

  function stack(table) {
    const heads = [...table.querySelectorAll("thead tr:last-child th")]
      .map((head) => head.textContent.trim());
    // a table that is not laid out as one is still one to a screen reader
    for (const [parts, role] of [["thead, tbody", "rowgroup"], ["tr", "row"],
      ["thead th", "columnheader"], ["tbody th", "rowheader"], ["td", "cell"]])
      table.querySelectorAll(parts).forEach((part) => { part.role = role; });
    table.role = "table";
    for (const row of table.tBodies[0].rows)
      [...row.cells].forEach((cell, place) => {
        // which of the columns: a name says so itself, a number does not
        const says = heads.length > 2 && (place
          || /^[^a-z]/i.test(cell.textContent.trim()));
        cell.dataset.head = says ? heads[place] ?? "" : "";
        cell.classList.toggle("empty", !cell.textContent.trim());
      });
  }

  function mark() {
    for (const box of document.querySelectorAll(
      "article .pst-scrollable-table-container")) {
      const table = box.querySelector("table");
      table.classList.remove("stacked");
      if (phone.matches && wide(box)) {
        stack(table);
        table.classList.add("stacked");
      }
    }
    for (const part of document.querySelectorAll(
      "article figure, article .pst-scrollable-table-container")) {
      part.classList.toggle("scrolls", wide(part));
      if (wide(part)) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  }

  addEventListener("load", mark);
  addEventListener("resize", mark);
  addEventListener("toggle", mark, true); // what was folded has no width
})();
