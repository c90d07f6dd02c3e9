"use strict";
/* Talking to one model or to two side by side: what stands in the element
   was made by course_lib/sharing/talk.py and shows an example; this makes it
   answer. The words of a text are the Worker's; here only ids are kept. */

const LONGEST = 200; // tokens that one press of the button writes

function talk(root) {
  const part = (name, among = root) => among.querySelector(`.gpt-${name}`);
  const priced = root.querySelectorAll(".gpt-priced");
  const speakers = [...root.querySelectorAll(".gpt-model")].map(
    (element, place) => speaker(element, priced[place], settings));
  const prompt = part("prompt"), [write, stop, again] = ["write", "stop",
    "again"].map((name) => part(name));

  function settings() {
    const value = (name) => Number(part(name).value);
    return { temperature: value("temperature"), topK: value("top-k"),
      topP: value("top-p") };
  }

  function say() {
    const { temperature, topK, topP } = settings();
    const said = { temperature: temperature === 0 ? "0: the likeliest"
      : temperature.toFixed(1), "top-k": topK || "off",
    "top-p": topP === 1 ? "off" : topP.toFixed(2) };
    for (const [name, text] of Object.entries(said))
      part(name).nextElementSibling.textContent = text;
  }

  async function run(afresh) {
    [write.disabled, again.disabled, stop.disabled] = [true, true, false];
    await Promise.all(speakers.map((one) => one.write(prompt.value, afresh)));
    [write.disabled, again.disabled, stop.disabled] = [false, false, true];
  }

  part("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    run(false);
  });
  again.addEventListener("click", () => run(true));
  stop.addEventListener("click", () => speakers.forEach((one) => one.stop()));
  root.querySelectorAll(".gpt-settings input").forEach((input) => {
    input.addEventListener("input", () => {
      say();
      speakers.forEach((one) => one.look());
    });
  });
  part("sentence").addEventListener("submit", (event) => {
    event.preventDefault();
    speakers.forEach((one) => one.color(part("own").value));
  });
  say();
}

/* One model: what it has written, what it may write next. */
function speaker(element, priced, settings) {
  const part = (name) => element.querySelector(`.gpt-${name}`)
    ?? priced.querySelector(`.gpt-${name}`);
  const { example, ...where } = JSON.parse(part("data").textContent);
  const client = new Client(where);
  let prompt = example.prompt, ids = example.ids, step = null;
  let running = false, looking = false;

  const status = (text) => { part("status").textContent = text; };

  function ask(question, given) {
    if (!client.worker) status(`Loading the model, ${where.size}`);
    return client.ask(question, given);
  }

  /* An action that says so where it fails. */
  const trying = (action) => async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      running = looking = false;
      status(`It does not answer: ${error.message}.`);
    }
  };

  /* What may come after the ids. */
  async function next() {
    step = { place: ids.length, ...await ask(
      "next", { ids, settings: settings() }) };
    show();
    return step;
  }

  function show() {
    const text = step.text;
    part("text").dataset.ids = ids.slice(0, step.place).join(" ");
    part("given").textContent = prompt;
    part("written").textContent = text.slice(prompt.length);
    part("bars").replaceChildren(...step.bars.map(bar));
    part("kept").textContent = `${step.kept.toLocaleString("en")} of ${
      where.vocabulary} tokens have a chance with these settings.`;
  }

  function bar({ id, token, before, after }) {
    const made = make("button", { type: "button",
      title: `take ${token}` },
    make("span", { class: "gpt-token" }, token),
    make("span", { class: "gpt-bar" },
      make("span", { class: "gpt-now", style: `width:${100 * after}%` }),
      make("span", { class: "gpt-model-s", style: `width:${100 * before}%` })),
    make("span", { class: "gpt-share" }, after ? percent(after) : "out"));
    made.addEventListener("click", () => take(id));
    return made;
  }

  const take = trying(async (id) => {
    running = false;
    const place = step ? step.place : ids.length;
    ids = [...ids.slice(0, place), id];
    await next();
    status("You chose this token; the bars show what may follow it.");
    part("bars").firstElementChild.focus({ preventScroll: true });
  });

  part("bars").querySelectorAll("button").forEach((button) => {
    button.addEventListener("click", () => take(Number(button.dataset.id)));
  });

  const write = trying(async (text, afresh) => {
    running = true;
    if (afresh || text !== prompt) {
      ({ ids } = await ask("encode", { text }));
      [prompt, step] = [text, null];
    }
    let count = 0;
    const begin = performance.now();
    while (running && count < LONGEST) {
      const { id, eot, place } = await next();
      if (!running || place !== ids.length) break;
      if (id === eot) {
        status("It ended the text.");
        running = false;
        return;
      }
      ids = [...ids, id];
      status(`Writing: ${++count} tokens`);
    }
    if (running || !step || step.place !== ids.length) await next();
    running = false;
    const speed = 1000 * count / (performance.now() - begin);
    if (count) status(`${count} tokens, ${speed.toFixed(0)} a second.`);
  });

  return {
    write,
    stop() { running = false; },
    /* The settings moved: look again, once, however fast they move. That
       alone is no reason to fetch the weights. */
    look: trying(async () => {
      if (running || looking || (where.source && !client.ready)) return;
      looking = true;
      await new Promise((done) => setTimeout(done, 60));
      await next();
      looking = false;
      status("The same text, with these settings for what comes next.");
    }),
    color: trying(async (text) => {
      if (!text.trim()) return;
      const { pieces, bytes } = await ask("surprisal", { text });
      part("colored").replaceChildren(...pieces.flatMap(colored));
      const bits = pieces.reduce((sum, piece) => sum + piece.bits, 0);
      part("cost").textContent = `${bits.toFixed(0)} bits for ${bytes} bytes: ${
        (bits / bytes).toFixed(2)} bits per byte.`;
      status("");
    }),
  };
}

/* A piece of text on a ground that is darker the more bits it cost. */
function colored({ text, bits }) {
  const level = [1, 3, 6, 10].filter((edge) => bits >= edge).length;
  const made = make("span", { class: `sur sur${level}`,
    title: `${bits.toFixed(1)} bits` }, text.replace(/\n/g, "\u21b5\n"));
  return level < 3 ? [made] : [made, make("sub", {}, bits.toFixed(0))];
}

document.querySelectorAll(".gpt-talk").forEach(talk);
