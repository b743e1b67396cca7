// Other readings of a page beside the text, with their differences; a click takes one over.

const NAMES = { reference: "Reference", prediction: "Prediction" };

// spans: reading → spans as the server gives them, [kind, in the text, in the reading]; take: called with a new text.
// It is told what text the spans are of where only a piece is taken: typed on since, they are out of date.
// Long readings stay scrolled where they were while somebody types; of another page the first difference is shown.
export function drawReadings(box, number, spans, names, take) {
  const isSame = box.dataset.number === String(number);
  const tops = Object.fromEntries([...box.querySelectorAll(".letters")].map((text) => [text.parentElement.dataset.reading, text.scrollTop]));
  box.dataset.number = number;
  box.replaceChildren(
    ...Object.entries(spans).map(([reading, found]) => drawReading(names[reading] ?? NAMES[reading], reading, found, take)),
  );
  for (const text of box.querySelectorAll(".letters")) {
    const first = text.querySelector(".change");
    text.scrollTop = (isSame && tops[text.parentElement.dataset.reading]) || Math.max(0, first.offsetTop - 40);
  }
}

// What is shown is of a text that was typed on: it is said to be, until the new differences have come.
export function setStale(box) {
  for (const row of box.querySelectorAll(".reading")) {
    row.dataset.stale = "";
    row.querySelector(".reading-head .soft").textContent = "comparing…";
  }
}

function drawReading(name, reading, spans, take) {
  const count = spans.filter(([kind]) => kind !== "equal").length;
  const row = element("div", "reading");
  row.dataset.reading = reading;
  const head = element("div", "reading-head");
  const label = element("span", "label", name);
  const note = element("span", "soft", count === 0 ? "the same" : count === 1 ? "1 difference" : `${count} differences`);
  head.append(label, note);
  row.append(head);
  if (count === 0) {
    row.classList.add("same");
    return row;
  }
  const ours = spans.map(([, text]) => text).join("");
  const whole = spans.map(([, , theirs]) => theirs).join("");
  const button = element("button", "quiet take", `Use ${reading === "theirs" ? "theirs" : reading}`);
  button.type = "button";
  button.addEventListener("click", () => take(whole));
  head.append(button);
  const text = element("p", "letters");
  text.dir = "auto";
  text.append(...spans.map((span, place) => drawSpan(span, () => take(joined(spans, place), ours))));
  row.append(text);
  return row;
}

// The text with one span as the reading has it.
function joined(spans, taken) {
  return spans.map(([, ours, theirs], place) => (place === taken ? theirs : ours)).join("");
}

function drawSpan([kind, ours, theirs], onTake) {
  if (kind === "equal") return document.createTextNode(theirs);
  const span = element("span", "change");
  span.tabIndex = 0;
  span.setAttribute("role", "button");
  span.setAttribute("aria-label", said(ours, theirs));
  span.title = said(ours, theirs);
  if (ours) span.append(element("del", "", visible(ours)));
  if (theirs) span.append(element("ins", "", visible(theirs)));
  span.addEventListener("click", onTake);
  span.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onTake();
  });
  return span;
}

function said(ours, theirs) {
  if (!ours) return `put in “${theirs}”`;
  if (!theirs) return `take out “${ours}”`;
  return `put “${theirs}” for “${ours}”`;
}

// White space that makes the difference must be seen.
function visible(text) {
  return text.replaceAll("\n", "⏎\n").replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

export function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}
