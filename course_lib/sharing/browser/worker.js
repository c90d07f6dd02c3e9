"use strict";
/* What a page may ask of the engine in gpt.js, behind which this stands in a
   Worker, so that the page never freezes. Each question is answered once. */

let gpt, tokenizer;

/* A token as it is drawn: a space seen, half a character as a box. */
function shown(id) {
  if (id === tokenizer.eot) return "end of text";
  return tokenizer.decode([id]).replace(/ /g, "\u00b7")
    .replace(/\n/g, "\u21b5").replace(/\p{C}/gu, "\ufffd");
}

/* A text as a row to read: end-of-text stands before it. */
function row(text) {
  return [tokenizer.eot, ...tokenizer.encode(text)];
}

const ANSWERS = {
  load({ file }) {
    if (file.weights) gpt = new GPT(file);
    tokenizer = new Tokenizer(file);
    return {};
  },

  encode({ text }) {
    return { ids: text ? tokenizer.encode(text) : [tokenizer.eot] };
  },

  /* One token after ids, and the likeliest others before and after the
     settings. */
  next({ ids, settings, bars = 10 }) {
    const logits = gpt.logits(ids);
    const before = softmax(logits.slice());
    const after = probabilities(logits, settings);
    return {
      id: draw(after, Math.random()),
      eot: tokenizer.eot,
      text: tokenizer.decode(ids),
      bars: likeliest(before, bars).map((id) => ({
        id, token: shown(id), before: before[id], after: after[id] })),
      kept: after.reduce((count, p) => count + (p > 0), 0),
    };
  },

  /* Each piece of a text, a character or more, with its bits. */
  surprisal({ text }) {
    const ids = row(text), pieces = [];
    let held = [], bits = 0;
    for (let place = 1; place < ids.length; place++) {
      const p = softmax(gpt.logits(ids.slice(0, place)));
      held.push(ids[place]);
      bits -= Math.log2(p[ids[place]]);
      const piece = tokenizer.decode(held);
      if (piece.endsWith("\ufffd") && place + 1 < ids.length
        && held.length < 4) continue; // half a character
      pieces.push({ text: piece, bits });
      [held, bits] = [[], 0];
    }
    return { pieces, bytes: new TextEncoder().encode(text).length };
  },

  /* Where each head of each layer looks: [layer][head][token][earlier]. */
  attention({ text }) {
    const ids = tokenizer.encode(text).slice(0, gpt.config.context_length);
    const weights = [];
    gpt.seen = [];
    gpt.watch = (layer, head, place, found) => {
      ((weights[layer] ??= [])[head] ??= [])[place] = [...found];
    };
    if (ids.length) gpt.logits(ids);
    gpt.watch = null;
    return { tokens: ids.map(shown), weights };
  },

  /* How a text is merged, a pair at a time: the pieces of each word after
     every merge, and what was merged. The last state is what encode gives. */
  merges({ text }) {
    const words = [...text.matchAll(WORDS)].map(([word]) =>
      [...new TextEncoder().encode(word)].map((byte) => CHARACTER_OF[byte]));
    const rank = (a, b) => tokenizer.ranks.get(`${a} ${b}`) ?? Infinity;
    const name = (token) => shown(tokenizer.ids.get(token));
    const steps = [{ words: words.map((parts) => parts.map(name)) }];
    for (;;) {
      let best = Infinity, pair;
      for (const parts of words) for (let i = 0; i + 1 < parts.length; i++)
        if (rank(parts[i], parts[i + 1]) < best)
          [best, pair] = [rank(parts[i], parts[i + 1]), parts.slice(i, i + 2)];
      if (!pair) break;
      for (const parts of words) for (let i = 0; i + 1 < parts.length; i++)
        if (parts[i] === pair[0] && parts[i + 1] === pair[1])
          parts.splice(i, 2, pair.join(""));
      steps.push({ words: words.map((parts) => parts.map(name)),
        pair: pair.map(name), made: name(pair.join("")), rank: best + 1 });
    }
    return { steps, ids: tokenizer.encode(text),
      bytes: new TextEncoder().encode(text).length };
  },

  /* Multiplications for each token of a greedy text, with or without what
     was kept of the tokens before. */
  work({ text, count, cached }) {
    const ids = row(text), products = [];
    gpt.seen = [];
    const begin = performance.now();
    while (products.length < count) {
      if (!cached) gpt.seen = [];
      const before = gpt.products;
      ids.push(likeliest(gpt.logits(ids), 1)[0]);
      products.push(gpt.products - before);
    }
    return { products, milliseconds: performance.now() - begin,
      text: tokenizer.decode(ids.slice(1)) };
  },
};

onmessage = ({ data: { number, question, given } }) => {
  try {
    postMessage({ number, answer: ANSWERS[question](given) });
  } catch (error) {
    postMessage({ number, error: String(error) });
  }
};
