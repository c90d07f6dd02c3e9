/* Figures and tables that are wider than the window scroll sideways: the
   keyboard can reach them then, and the style sheet says so beside them. */
(() => {
  function mark() {
    for (const part of document.querySelectorAll(
        "article figure, article .pst-scrollable-table-container")) {
      const scrolls = part.scrollWidth > part.clientWidth + 1;
      part.classList.toggle("scrolls", scrolls);
      if (scrolls) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  }
  addEventListener("load", mark);
  addEventListener("resize", mark);
  addEventListener("toggle", mark, true); // what was folded has no width
})();
