// The list of pages: numbers for all of them, rows only for those in sight.

import { get } from "./api.js";

const ROW_PX = 58;
const CHUNK = 100;
const BEYOND = 8;
const MARKS = { open: "", good: "✓", wrong: "✗", unsure: "?", skip: "–" };
const WORDS = { open: "to do", good: "good", wrong: "wrong", unsure: "unsure", skip: "skipped" };

export class List {
  constructor(rows, spacer, empty, choose) {
    this.rows = rows;
    this.spacer = spacer;
    this.empty = empty;
    this.choose = choose;
    this.numbers = [];
    this.entries = new Map();
    this.asked = new Set();
    this.current = null;
    this.latest = 0;
    rows.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(rows);
  }

  async load(filter) {
    const turn = ++this.latest;
    const { numbers } = await get(`/api/items?${new URLSearchParams(filter)}`);
    if (turn !== this.latest) return false; // a later filter was faster
    this.numbers = numbers;
    this.entries.clear();
    this.asked.clear();
    this.spacer.style.height = `${numbers.length * ROW_PX}px`;
    this.empty.hidden = numbers.length > 0;
    this.rows.scrollTop = 0;
    this.draw();
    return true;
  }

  update(entry) {
    if (!this.entries.has(entry.number)) return;
    this.entries.set(entry.number, { ...this.entries.get(entry.number), ...entry });
    this.draw();
  }

  mark(number) {
    const isFocused = this.spacer.contains(document.activeElement);
    this.current = number;
    this.scrollTo(number);
    if (isFocused) this.spacer.querySelector("[aria-current]")?.focus({ preventScroll: true });
  }

  scrollTo(number) {
    const place = this.numbers.indexOf(number);
    if (place < 0) return this.draw();
    const top = place * ROW_PX;
    const { scrollTop, clientHeight } = this.rows;
    if (top < scrollTop) this.rows.scrollTop = top;
    else if (top + ROW_PX > scrollTop + clientHeight) this.rows.scrollTop = top + 2 * ROW_PX - clientHeight;
    this.draw();
  }

  // The number some places on; the first one if the current page is not in the list.
  beside(step) {
    const place = this.numbers.indexOf(this.current);
    return place < 0 ? this.numbers[0] : this.numbers[place + step];
  }

  place(number) {
    return this.numbers.indexOf(number);
  }

  async fetch(chunk) {
    if (this.asked.has(chunk)) return;
    this.asked.add(chunk);
    const turn = this.latest;
    const numbers = this.numbers.slice(chunk * CHUNK, (chunk + 1) * CHUNK);
    try {
      const { items } = await get(`/api/entries?${numbers.map((number) => `number=${number}`).join("&")}`);
      if (turn !== this.latest) return;
      for (const item of items) this.entries.set(item.number, item);
      this.draw();
    } catch {
      this.asked.delete(chunk);
    }
  }

  draw() {
    const { scrollTop, clientHeight } = this.rows;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(this.numbers.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + BEYOND);
    const focused = document.activeElement?.dataset?.number;
    const drawn = [];
    for (let place = first; place < last; place++) {
      const entry = this.entries.get(this.numbers[place]);
      if (!entry) this.fetch(Math.floor(place / CHUNK));
      drawn.push(this.row(place, entry));
    }
    this.spacer.replaceChildren(...drawn);
    if (focused) this.spacer.querySelector(`[data-number="${focused}"]`)?.focus({ preventScroll: true });
  }

  row(place, entry) {
    const number = this.numbers[place];
    const row = document.createElement("button");
    row.type = "button";
    row.className = "row";
    row.style.top = `${place * ROW_PX}px`;
    row.dataset.number = number;
    if (number === this.current) row.setAttribute("aria-current", "true");
    row.addEventListener("click", () => this.choose(number));
    if (!entry) return row;
    row.dataset.state = entry.state;
    row.append(
      part("mark", MARKS[entry.state], { "aria-label": WORDS[entry.state], role: "img" }),
      part("snippet", entry.snippet.replace(/\s+/g, " ") || "(no text)", { dir: "auto" }),
      part("why", [entry.reason, entry.corrected ? "corrected" : ""].filter(Boolean).join(", ")),
      part("file", entry.name),
    );
    return row;
  }
}

function part(name, text, attributes = {}) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
