"use strict";
/* The merges of BPE on the reader's text, one at a time (chapter 3). */
function merges(root) {
  const part = (name) => root.querySelector(`.gpt-${name}`);
  const client = new Client(JSON.parse(part("data").textContent));
  const slider = part("step"), back = part("back"), on = part("on");
  let steps = [], bytes = 0;

  function draw() {
    const { words, pair, made, rank } = steps[Number(slider.value)];
    part("pieces").replaceChildren(...words.map((pieces) => make("span",
      { class: "gpt-word" }, ...pieces.map((piece) => make("span",
        { class: `gpt-piece${piece === made ? " gpt-new" : ""}` }, piece)))));
    const count = words.flat().length;
    part("said").textContent = `${pair ? `Merge ${slider.value} of ${
      slider.max}: ${pair[0]} + ${pair[1]} \u2192 ${made}, which was learned `
      + `as number ${rank}.` : "Before any merge: bytes."} ${count} tokens `
      + `for ${bytes} bytes.`;
    back.disabled = slider.value === "0";
    on.disabled = slider.value === slider.max;
  }

  async function read(share) {
    ({ steps, bytes } = await client.ask(
      "merges", { text: part("own").value }));
    slider.max = steps.length - 1;
    slider.value = Math.round(share * (steps.length - 1));
    draw();
  }

  const move = (by) => { slider.value = Number(slider.value) + by; draw(); };
  slider.addEventListener("input", draw);
  back.addEventListener("click", () => move(-1));
  on.addEventListener("click", () => move(1));
  part("own").addEventListener("input", () => read(1));
  read(0.6); // half-way: some words are whole, others in pieces
}

for (const root of document.querySelectorAll(".gpt-merges:not([data-alive])")) {
  root.dataset.alive = "yes";
  merges(root);
}
