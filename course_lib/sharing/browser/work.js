"use strict";
/* What the cache saves: multiplications for each token of a text that the
   model writes on from the reader's beginning (chapter 5). */
function work(root) {
  const part = (name) => root.querySelector(`.gpt-${name}`);
  const { shown, ...where } = JSON.parse(part("data").textContent);
  const client = new Client(where), slider = part("place");
  let { plain, cached } = shown, times = "";

  const many = (number) => (number >= 1e6 ? `${(number / 1e6).toFixed(1)} `
    + "million" : `${Math.round(number / 1e3)} thousand`);
  const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

  function draw() {
    const place = Number(slider.value) - 1, width = 640, height = 200;
    const top = Math.max(...plain), step = width / plain.length;
    const bars = plain.map((whole, i) => {
      const bar = (value, style) => {
        const tall = height * value / top;
        return `<rect x="${i * step + 1}" y="${height - tall}" width="${
          step - 2}" height="${tall}" ${style}/>`;
      };
      return bar(whole, `fill="var(--bar)" stroke="var(--edge)" ${
        i === place ? 'stroke-width="3"' : 'stroke-width="0.5"'}`)
        + bar(Math.max(cached[i], top / 120), 'fill="var(--edge)"');
    }).join("");
    part("chart").innerHTML = `<svg viewBox="0 0 ${width} ${height}" `
      + `aria-hidden="true">${bars}</svg>`;
    part("said").textContent = `Token ${place + 1}: ${many(plain[place])} `
      + `multiplications without the cache (the bar), ${many(cached[place])} with `
      + `it (its foot). All ${plain.length} tokens: ${
        (sum(plain) / sum(cached)).toFixed(1)} times as many without. ${times}`;
  }

  root.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    part("status").textContent = client.worker ? "Writing twice"
      : `Loading the model, ${where.size}`;
    try {
      const given = { text: part("own").value, count: plain.length };
      const slow = await client.ask("work", { ...given, cached: false });
      const fast = await client.ask("work", { ...given, cached: true });
      [plain, cached] = [slow.products, fast.products];
      times = `On your machine: ${slow.milliseconds.toFixed(0)} ms without, ${
        fast.milliseconds.toFixed(0)} ms with.`;
      part("written").textContent = fast.text;
      part("status").textContent = slow.text === fast.text
        ? "The text is the same both ways." : "The texts differ.";
      draw();
    } catch (error) {
      part("status").textContent = `It cannot be loaded: ${error.message}.`;
    }
  });
  slider.addEventListener("input", draw);
  draw();
}

for (const root of document.querySelectorAll(".gpt-work:not([data-alive])")) {
  root.dataset.alive = "yes";
  work(root);
}
