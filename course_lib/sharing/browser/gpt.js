"use strict";
/* A GPT in plain JavaScript: tokenizer, forward pass with a cache, sampling.

   What course_lib does in Python, under the same names and, with the same
   weights, with the same numbers: text/tokenizer.py, model/gpt.py,
   model/cache.py, sampling/drawing.py. Letters as there: T tokens, C
   channels, H heads, D channels of a head, V vocabulary; n tokens are read
   at a time. A matrix of (rows, columns) holds whole numbers of eight bits
   and a scale for each row, which turns them back into weights. */

// ---- From text to ids and back ------------------------------------------

// GPT-2's words. White space is Unicode's, since JavaScript's own \s is not.
const WORDS = new RegExp(String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+|`
  + String.raw` ?[^\p{White_Space}\p{L}\p{N}]+|`
  + String.raw`\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`, "gu");

// GPT-2 writes each byte as one printable character: the printable Latin-1
// ones as themselves, the other 68 as U+0100 onwards.
const CHARACTER_OF = [], BYTE_OF = new Map();
for (let byte = 0, others = 0; byte < 256; byte++) {
  const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  CHARACTER_OF[byte] = String.fromCharCode(printable ? byte : 256 + others++);
  BYTE_OF.set(CHARACTER_OF[byte], byte);
}

class Tokenizer {
  constructor({ tokens, merges, eot }) {
    this.tokens = tokens; // in the order of their ids
    this.eot = eot;
    this.ids = new Map(tokens.map((token, id) => [token, id]));
    this.ranks = new Map(merges.map((pair, rank) => [pair, rank]));
  }

  encode(text) {
    return [...text.matchAll(WORDS)].flatMap(([word]) => this.merge(word));
  }

  /* A word as ids: the pair that was learned first is merged first. */
  merge(word) {
    const parts = [...new TextEncoder().encode(word)].map(
      (byte) => CHARACTER_OF[byte]);
    for (;;) {
      let best = Infinity, place;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`);
        if (rank < best) [best, place] = [rank, i];
      }
      if (best === Infinity) return parts.map((part) => this.ids.get(part));
      parts.splice(place, 2, parts[place] + parts[place + 1]);
    }
  }

  /* The bytes that a token stands for; end-of-text stands for none. */
  bytes(id) {
    return id === this.eot ? []
      : [...this.tokens[id]].map((character) => BYTE_OF.get(character));
  }

  decode(ids) {
    const bytes = Uint8Array.from(ids.flatMap((id) => this.bytes(id)));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }
}

// ---- The model ------------------------------------------------------------

/* Names to tensors: { whole, scale, rows, columns } or, of one dimension,
   plain numbers. `list` holds [name, rows, columns or 0] in the order in
   which they follow each other in the bytes, each from a multiple of 4. */
function readTensors(list, base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const tensors = {};
  let at = 0;
  for (const [name, rows, columns] of list) {
    const scale = new Float32Array(bytes.buffer, at, rows);
    at += 4 * rows;
    const whole = new Int8Array(bytes.buffer, at, rows * columns);
    at += 4 * Math.ceil(rows * columns / 4);
    tensors[name] = columns ? { whole, scale, rows, columns } : scale;
  }
  return tensors;
}

/* Where the window of a text of n tokens starts; 0 within the context. */
function windowStart(n, context) {
  const half = Math.max(1, Math.floor(context / 2));
  return half * Math.max(0, Math.ceil((n - context) / half));
}

/* x (n, columns) times each row of a matrix -> (n, rows). */
function multiply({ whole, scale, rows, columns }, x, n) {
  const y = new Float64Array(n * rows);
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    let t = 0;
    for (; t + 4 <= n; t += 4) { // four tokens: each weight is fetched once
      const at = t * columns;
      let a = 0, b = 0, c = 0, d = 0;
      for (let i = 0; i < columns; i++) {
        const weight = whole[from + i];
        a += weight * x[at + i];
        b += weight * x[at + columns + i];
        c += weight * x[at + 2 * columns + i];
        d += weight * x[at + 3 * columns + i];
      }
      const to = t * rows + row;
      y[to] = a * scale[row];
      y[to + rows] = b * scale[row];
      y[to + 2 * rows] = c * scale[row];
      y[to + 3 * rows] = d * scale[row];
    }
    for (; t < n; t++) { // one token: four sums that need not wait
      const at = t * columns;
      let a = 0, b = 0, c = 0, d = 0, i = 0;
      for (; i + 4 <= columns; i += 4) {
        a += whole[from + i] * x[at + i];
        b += whole[from + i + 1] * x[at + i + 1];
        c += whole[from + i + 2] * x[at + i + 2];
        d += whole[from + i + 3] * x[at + i + 3];
      }
      for (; i < columns; i++) a += whole[from + i] * x[at + i];
      y[t * rows + row] = (a + b + c + d) * scale[row];
    }
  }
  return y;
}

/* Each row of x (n, width) divided by its root mean square, times weight. */
function rmsNorm(x, weight, width) {
  const y = new Float64Array(x.length);
  for (let from = 0; from < x.length; from += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += x[from + i] ** 2;
    const factor = 1 / Math.sqrt(squares / width + 1e-6);
    for (let i = 0; i < width; i++)
      y[from + i] = x[from + i] * factor * weight[i];
  }
  return y;
}

/* Each row of x brought to mean 0 and variance 1, then scaled and moved. */
function layerNorm(x, weight, bias, width) {
  const y = new Float64Array(x.length);
  for (let from = 0; from < x.length; from += width) {
    let mean = 0, variance = 0;
    for (let i = 0; i < width; i++) mean += x[from + i] / width;
    for (let i = 0; i < width; i++)
      variance += (x[from + i] - mean) ** 2 / width;
    const factor = 1 / Math.sqrt(variance + 1e-5);
    for (let i = 0; i < width; i++)
      y[from + i] = (x[from + i] - mean) * factor * weight[i]
        + (bias ? bias[i] : 0);
  }
  return y;
}

/* Turn the pairs of channels of x (D) by the angles of a position. */
function rotate(x, position) {
  const half = x.length / 2;
  for (let i = 0; i < half; i++) {
    const angle = position * 10_000 ** (-i / half);
    const cos = Math.cos(angle), sin = Math.sin(angle);
    [x[i], x[i + half]] = [x[i] * cos - x[i + half] * sin,
      x[i + half] * cos + x[i] * sin];
  }
}

const gelu = (x) => 0.5 * x * (1 + Math.tanh(
  Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const silu = (x) => x / (1 + Math.exp(-x));

class GPT {
  constructor({ config, tensors, weights }) {
    this.config = config;
    this.tensors = readTensors(tensors, weights);
    const size = config.context_length * config.n_embd;
    this.cache = Array.from({ length: config.n_layer }, () => (
      { keys: new Float64Array(size), values: new Float64Array(size) }));
    this.seen = []; // the ids whose keys and values the cache holds
    this.products = 0; // multiplications so far, for who wants to count
    this.watch = null; // called with (layer, head, position, its weights)
  }

  /* (V) logits of what follows ids, of which only what the cache lacks is
     read. Past the context the window is cut as everywhere in course_lib. */
  logits(ids) {
    const window = ids.slice(
      windowStart(ids.length, this.config.context_length));
    let same = 0;
    while (same < window.length - 1 && this.seen[same] === window[same])
      same++;
    this.seen.length = same;
    const x = this.hidden(window.slice(same));
    const last = this.norm("transformer.ln_f",
      x.subarray(x.length - this.config.n_embd));
    return this.linear(
      this.config.tied ? "transformer.wte" : "lm_head", last, 1);
  }

  /* n ids that continue what was seen -> (n, C), before the last norm. */
  hidden(ids) {
    const { n_embd: C, n_layer, positions } = this.config, n = ids.length;
    const x = new Float64Array(n * C);
    ids.forEach((id, t) => {
      this.addRow(x, t, "transformer.wte.weight", id);
      if (positions === "learned")
        this.addRow(x, t, "transformer.wpe.weight", this.seen.length + t);
    });
    for (let layer = 0; layer < n_layer; layer++) {
      const block = `transformer.h.${layer}`;
      add(x, this.attention(
        layer, this.norm(`${block}.ln_1`, x), n, `${block}.attn`));
      add(x, this.mlp(this.norm(`${block}.ln_2`, x), n, `${block}.mlp`));
    }
    this.seen.push(...ids);
    return x;
  }

  /* (n, C) -> (n, C): each token's mean of the values, weighed by how its
     query matches the keys of the tokens up to itself. */
  attention(layer, x, n, name) {
    const { n_embd: C, n_head: H, positions, qk_norm } = this.config;
    const D = C / H, y = new Float64Array(n * C), { keys, values } =
      this.cache[layer];
    const qkv = this.linear(`${name}.c_attn`, x, n); // (n, 3 C)
    for (let t = 0; t < n; t++) for (let head = 0; head < H; head++) {
      const place = this.seen.length + t, own = t * 3 * C + head * D;
      let q = qkv.subarray(own, own + D);
      let k = qkv.subarray(own + C, own + C + D);
      if (qk_norm) {
        q = rmsNorm(q, this.tensors[`${name}.q_norm.weight`], D);
        k = rmsNorm(k, this.tensors[`${name}.k_norm.weight`], D);
      }
      if (positions === "rotary") { rotate(q, place); rotate(k, place); }
      keys.set(k, place * C + head * D);
      values.set(qkv.subarray(own + 2 * C, own + 2 * C + D),
        place * C + head * D);
      const weights = new Float64Array(place + 1); // of the tokens so far
      for (let s = 0; s <= place; s++) {
        const at = s * C + head * D;
        let match = 0;
        for (let i = 0; i < D; i++) match += q[i] * keys[at + i];
        weights[s] = match / Math.sqrt(D);
      }
      softmax(weights);
      for (let s = 0; s <= place; s++)
        for (let i = 0; i < D; i++)
          y[t * C + head * D + i] +=
            weights[s] * values[s * C + head * D + i];
      this.products += 2 * D * (place + 1);
      if (this.watch) this.watch(layer, head, place, weights);
    }
    return this.linear(`${name}.c_proj`, y, n);
  }

  /* (n, C) -> (n, C): each token by itself. */
  mlp(x, n, name) {
    let y = this.linear(`${name}.c_fc`, x, n);
    if (this.config.mlp === "swiglu") {
      const gate = this.linear(`${name}.c_gate`, x, n);
      y = y.map((value, i) => value * silu(gate[i]));
    } else if (this.config.mlp === "relu2") {
      y = y.map((value) => Math.max(0, value) ** 2);
    } else {
      y = y.map(gelu);
    }
    return this.linear(`${name}.c_proj`, y, n);
  }

  linear(name, x, n) {
    const matrix = this.tensors[`${name}.weight`];
    const bias = this.tensors[`${name}.bias`];
    const y = multiply(matrix, x, n);
    this.products += n * matrix.rows * matrix.columns;
    if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[i % bias.length];
    return y;
  }

  norm(name, x) {
    const weight = this.tensors[`${name}.weight`], C = this.config.n_embd;
    return this.config.norm === "rms" ? rmsNorm(x, weight, C)
      : layerNorm(x, weight, this.tensors[`${name}.bias`], C);
  }

  addRow(x, t, name, row) {
    const { whole, scale, columns } = this.tensors[name];
    for (let i = 0; i < columns; i++)
      x[t * columns + i] += whole[row * columns + i] * scale[row];
  }
}

function add(x, y) { for (let i = 0; i < x.length; i++) x[i] += y[i]; }

/* In place; the largest weighs 1 before the division, so none overflows. */
function softmax(x, temperature = 1) {
  let top = -Infinity, sum = 0;
  for (const value of x) top = Math.max(top, value);
  for (let i = 0; i < x.length; i++)
    sum += x[i] = Math.exp((x[i] - top) / temperature);
  for (let i = 0; i < x.length; i++) x[i] /= sum;
  return x;
}

// ---- From logits to a token -----------------------------------------------

/* The ids of the `count` largest, in descending order, equal ones in the
   order of their ids. */
function likeliest(weights, count, sorted = weights.slice().sort()) {
  const edge = sorted[Math.max(0, weights.length - count)], ids = [];
  for (let id = 0; id < weights.length; id++)
    if (weights[id] >= edge) ids.push(id);
  return ids.sort((a, b) => weights[b] - weights[a] || a - b).slice(0, count);
}

/* (V) logits -> (V) probabilities to draw from: the k likeliest, and of them
   the fewest that together reach p. Temperature 0 takes the likeliest. */
function probabilities(logits, { temperature = 1, topK = 0, topP = 1 } = {}) {
  const V = logits.length, kept = new Float64Array(V);
  if (temperature === 0) {
    kept[likeliest(logits, 1)[0]] = 1;
    return kept;
  }
  const p = softmax(logits.slice(), temperature), sorted = p.slice().sort();
  let count = topK > 0 ? Math.min(topK, V) : V;
  if (topP < 1) {
    const all = sorted.subarray(V - count).reduce((sum, value) => sum + value);
    let number = 0, sum = 0;
    while (sum < topP * all && number < count) sum += sorted[V - ++number];
    count = number;
  }
  if (count === V) return p;
  let sum = 0;
  for (const id of likeliest(p, count, sorted)) sum += kept[id] = p[id];
  return kept.map((value) => value / sum);
}

/* The id at which the sum of the probabilities passes u, from 0 to 1. */
function draw(p, u) {
  let sum = 0, last = 0;
  for (let id = 0; id < p.length; id++) {
    if (!p[id]) continue;
    [sum, last] = [sum + p[id], id];
    if (sum > u) return id;
  }
  return last;
}
