/* What a reader guesses in a box titled "Predict": typed or chosen, kept in
   this browser alone, set beside the answer when that is opened, judged there
   by the reader, and listed on a page of its own. Without this script the box
   is plain text and the answer a plain fold. */
addEventListener("DOMContentLoaded", () => {
  const PLACE = "course-guesses";
  const MARKS = ["right", "nearly", "wrong"];
  let here = {}; // this page's, for a browser that stores nothing
  let stores = true;

  /* Guesses by the name of their box: {guess, choice, mark}. */
  function kept() {
    try {
      if (stores) here = JSON.parse(localStorage.getItem(PLACE)) ?? {};
    } catch {
      stores = false;
    }
    return here;
  }

  function keep(guesses) {
    here = guesses;
    try {
      localStorage.setItem(PLACE, JSON.stringify(guesses));
    } catch {
      stores = false;
    }
  }

  function change(name, changes) {
    const one = { ...kept()[name], ...changes };
    const { [name]: _, ...others } = here;
    keep(one.guess ? { ...others, [name]: one } : others);
  }

  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
      made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function button(text, press) {
    const made = make("button", { type: "button", class: "guess-button" },
                      text);
    made.addEventListener("click", press);
    return made;
  }

  const press = (buttons, chosen) => buttons.forEach((one, at) =>
    one.setAttribute("aria-pressed", at === chosen));

  /* A line to type in, or the box's own choices as buttons. */
  function ask(box, changed) {
    const list = box.querySelector(".choices");
    const { guess, choice } = kept()[box.id] ?? {};
    if (!list) {
      const line = make("input", { type: "text", maxlength: 200,
                                   value: guess ?? "" });
      line.addEventListener("input", () => changed({ guess: line.value.trim() }));
      box.append(make("label", { class: "guess" }, "Your guess ", line));
      return;
    }
    const buttons = [...list.children].map((item, at) => {
      // A button holds text and no links.
      item.querySelectorAll("a").forEach((link) =>
        link.replaceWith(...link.childNodes));
      const text = item.textContent.trim();
      const made = button("", () => {
        press(buttons, at);
        changed({ guess: text, choice: at });
      });
      made.append(...(item.querySelector("p") ?? item).childNodes);
      item.replaceChildren(made);
      return made;
    });
    press(buttons, choice);
  }

  /* The guess beside the answer, with three buttons to judge it by. */
  function compare(name, fold) {
    const quote = make("q");
    const buttons = MARKS.map((mark) => button(mark, () => {
      change(name, { mark });
      show();
    }));
    const judged = make("div", { class: "guess-judged" },
      make("span", {}, "You guessed: ", quote),
      make("span", { role: "group", "aria-label": "How near was it?" },
           ...buttons));
    fold.querySelector("summary").after(judged);
    function show() {
      const { guess, mark } = kept()[name] ?? {};
      judged.hidden = !guess;
      quote.textContent = guess ?? "";
      press(buttons, MARKS.indexOf(mark));
    }
    show();
    return show;
  }

  for (const box of document.querySelectorAll(".predict")) {
    const fold = document.querySelector(`#${box.id}-answer details`);
    const show = fold ? compare(box.id, fold) : () => {};
    // Another guess has not been judged yet.
    ask(box, (guess) => {
      change(box.id, { ...guess, mark: undefined });
      show();
    });
  }

  /* The page that lists all questions. */
  const summary = document.querySelector(".guesses");
  const nothing = [...summary?.childNodes ?? []];
  function list() {
    const guesses = kept();
    const items = [...document.querySelectorAll("li[id^='predict-']")];
    let made = [];
    for (const item of items) {
      item.querySelector(".guess-kept")?.remove();
      const one = guesses[item.id.replace(/-guess$/, "")];
      if (!one) continue;
      made.push(one);
      item.lastElementChild.before(
        make("p", { class: "guess-kept" }, "You guessed: ",
             make("q", {}, one.guess), ` (${one.mark ?? "not judged yet"})`));
    }
    if (!made.length) return summary.replaceChildren(...nothing);
    const counts = MARKS.map((mark) =>
      `${made.filter((one) => one.mark === mark).length} ${mark}`);
    summary.replaceChildren(
      make("p", {}, `You guessed at ${made.length} of ${items.length} ` +
           `questions: ${counts.join(", ")}, ` +
           `${made.filter((one) => !one.mark).length} not judged yet.`),
      button("Delete all my guesses", () => {
        if (!confirm("Delete your guesses in all chapters?")) return;
        keep({});
        list();
        summary.focus();
      }));
  }
  if (summary) {
    summary.setAttribute("role", "status");
    summary.tabIndex = -1; // where the focus goes when the button is gone
    list();
    // Guesses made, or deleted, in another tab or before going back.
    addEventListener("pageshow", list);
    addEventListener("storage", list);
  }
});
