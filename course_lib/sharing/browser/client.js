"use strict";
/* A model as a page sees it: a Worker, made from the scripts that stand in
   the page, since a page from a disk may start no other. The weights are
   fetched by the first question that needs them. */
class Client {
  /* `source`: the address of a script that puts a file into courseModels
     under `name`, or, without one, the id of an element that holds it. */
  constructor({ name, source, element }) {
    Object.assign(this, { name, source, element, waiting: new Map() });
  }

  /* The answer to a question, see ANSWERS in worker.js. */
  async ask(question, given) {
    await (this.ready ??= this.load());
    return this.send(question, given);
  }

  async load() {
    try {
      const file = this.source ? await this.fetched() : JSON.parse(
        document.getElementById(this.element).textContent);
      const code = document.querySelector(".gpt-engine").textContent;
      this.worker = new Worker(URL.createObjectURL(
        new Blob([code], { type: "text/javascript" })));
      this.worker.onmessage = ({ data: { number, answer, error } }) => {
        const { done, fail } = this.waiting.get(number);
        this.waiting.delete(number);
        if (error) fail(new Error(error)); else done(answer);
      };
      return await this.send("load", { file });
    } catch (error) {
      this.ready = null; // the next question tries again
      throw error;
    }
  }

  send(question, given) {
    return new Promise((done, fail) => {
      const number = this.sent = (this.sent ?? 0) + 1;
      this.waiting.set(number, { done, fail });
      this.worker.postMessage({ number, question, given });
    });
  }

  fetched() {
    return new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = this.source;
      script.onload = () => {
        done(window.courseModels[this.name]);
        delete window.courseModels[this.name];
        script.remove();
      };
      script.onerror = () => fail(new Error(
        `the weights are not at ${this.source}`));
      document.head.append(script);
    });
  }
}

/* An element with attributes and children, which may be texts. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const percent = (p) => (p >= 0.9995 ? "100%" : p >= 0.0995
  ? `${(100 * p).toFixed(0)}%` : `${(100 * p).toFixed(1)}%`);
