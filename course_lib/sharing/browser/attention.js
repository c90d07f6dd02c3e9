"use strict";
/* Where each head of each layer looks, on the reader's sentence (chapter 1).
   Drawn first from what was computed when the page was built. */
function attention(root) {
  const part = (name) => root.querySelector(`.gpt-${name}`);
  const { shown, ...where } = JSON.parse(part("data").textContent);
  const client = new Client(where);
  let { tokens, weights } = shown, layer = 0, head = 0, from = 0;

  /* A square of a head's weights: a row says where its token looks. Drawn
     by their roots, or all but the largest would be too pale to see. */
  function map(rows) {
    const cells = rows.flatMap((row, y) => row.map((weight, x) => (
      weight < 0.005 ? "" : `<rect x="${x}" y="${y}" width="1" height="1" fill=`
        + `"var(--edge)" fill-opacity="${Math.sqrt(weight).toFixed(2)}"/>`)));
    const size = rows.length;
    return `<svg viewBox="0 0 ${size} ${size}" aria-hidden="true">`
      + `<path d="M0 0V${size}H${size}Z" fill="var(--bar)" `
      + `fill-opacity="0.25"/>${cells.join("")}</svg>`;
  }

  function drawHeads() {
    const buttons = weights.flatMap((heads, l) => heads.map((rows, h) => {
      const button = make("button", { type: "button", "aria-pressed":
        String(l === layer && h === head) });
      button.innerHTML = `${map(rows)}<span>layer ${l}, head ${h}</span>`;
      button.addEventListener("click", () => {
        [layer, head] = [l, h];
        draw();
        part("heads").children[l * heads.length + h].focus();
      });
      return button;
    }));
    part("heads").style.setProperty("--heads", weights[0]?.length ?? 1);
    part("heads").replaceChildren(...buttons);
  }

  function drawRow() {
    const row = weights[layer][head][from], most = Math.max(...row);
    part("tokens").replaceChildren(...tokens.map((token, place) => {
      const weight = row[place];
      const button = make("button", { type: "button",
        "aria-pressed": String(place === from) },
      make("span", {}, token),
      make("small", {}, weight >= 0.1 ? percent(weight) : "\u00a0"));
      button.style.background = weight === undefined ? "transparent"
        : `color-mix(in srgb, var(--bar) ${100 * weight / most}%, transparent)`;
      button.addEventListener("click", () => {
        from = place;
        drawRow();
        part("tokens").children[place].focus();
      });
      return button;
    }));
    const where = row.map((weight, place) => ({ weight, place }))
      .sort((a, b) => b.weight - a.weight).slice(0, 3)
      .map(({ weight, place }) => `${tokens[place]} ${percent(weight)}`);
    part("said").textContent = `Layer ${layer}, head ${head}: from the token ${
      tokens[from]} it looks at ${where.join(", ")}.`;
  }

  function draw() { drawHeads(); drawRow(); }

  /* The head that most often looks at one token more than at all others. */
  function mostDecided() {
    const sure = (rows) => rows.slice(2).reduce(
      (sum, row) => sum + Math.max(...row), 0);
    const all = weights.flatMap((heads, l) => heads.map(
      (rows, h) => [sure(rows), l, h]));
    return all.sort((a, b) => b[0] - a[0])[0].slice(1);
  }

  root.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = part("own").value;
    part("status").textContent = client.worker ? ""
      : `Loading the model, ${where.size}`;
    try {
      const found = await client.ask("attention", { text });
      if (!found.tokens.length) return;
      ({ tokens, weights } = found);
      from = tokens.length - 1;
      draw();
      part("status").textContent = "";
    } catch (error) {
      part("status").textContent = `It cannot be loaded: ${error.message}.`;
    }
  });
  from = tokens.length - 1;
  [layer, head] = mostDecided();
  draw();
}

for (const root of document.querySelectorAll(".gpt-attention:not([data-alive])")) {
  root.dataset.alive = "yes";
  attention(root);
}
