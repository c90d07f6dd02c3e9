/* A term shows its entry of the glossary while the pointer or the keyboard is
   on it; the entries stand in a file that the build makes. Escape closes it,
   and the pointer may go into it. Without this script a term is a link. */
(() => {
  const tip = Object.assign(document.createElement("div"),
                            { id: "term-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  let link, leaving;

  function hide() {
    link?.removeAttribute("aria-describedby");
    link = undefined;
    tip.hidden = true;
  }

  /* Below the term, or above where there is no room; never off the page. */
  function place() {
    const at = link.getClientRects()[0], size = tip.getBoundingClientRect();
    if (!at) return hide();
    const width = document.documentElement.clientWidth;
    const below = at.bottom + size.height + 8 < innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left,
                                             width - size.width - 8))}px`;
    tip.style.top = `${below ? at.bottom + 4 : at.top - size.height - 4}px`;
  }

  function show({ target }) {
    const found = target.closest?.("a:has(> .std-term)");
    if (found || tip.contains(target)) clearTimeout(leaving);
    const entry = window.TERMS?.[found?.hash.slice(1)];
    if (!entry || found === link) return;
    hide();
    link = found;
    tip.textContent = entry;
    // Beside the text: what lies in no landmark is hard to find.
    (found.closest("article") ?? document.body).append(tip);
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    place();
  }

  function leave({ target }) {
    if (link && (target === tip || link.contains(target)))
      leaving = setTimeout(hide, 200);
  }

  addEventListener("pointerover", show);
  addEventListener("pointerout", leave);
  addEventListener("focusin", show);
  addEventListener("focusout", hide);
  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", () => link && place(), true);
})();
