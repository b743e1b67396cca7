// The review page: which page is shown, what is typed, what becomes of it.

import { Refused, get, newKey, post, wait } from "./api.js";
import { askNameOnce, connectDialogs, showHelp } from "./dialogs.js";
import { drawEdits } from "./history.js";
import { listenForKeys } from "./keys.js";
import { List } from "./list.js";
import { Outbox } from "./outbox.js";
import { drawReadings, setStale } from "./readings.js";
import { Viewer } from "./viewer.js";
import { WORDS, at, find, named, reviewer, toast } from "./words.js";

const COMPARE_AFTER_MS = 150;
const COMPARE_AGAIN_MS = 2000;
const SAVE_AFTER_MS = 1200;
const LOOK_EVERY_MS = 3000;
const RESTORE_MS = 2000;

const editor = find("editor");
const conflicts = new Map(); // number → { item: theirs, text, state: mine }
const failures = new Map(); // number → why the server will not take its text
const mine = []; // numbers of pages changed here, latest last
let review, list, outbox, viewer;
let current = null; // { number, item, version, state, imagePlace, shown: what the editor was given }
let compareTimer, saveTimer, lastEdit = 0, turn = 0;
let undoing = false;
let loading = false; // nothing is typed into or said of a page that nobody has seen yet

// ---- one page ----

// Against what the editor was given, not against the text itself: an editor knows no line breaks but \n.
const isTyped = () => current !== null && editor.value !== current.shown;

async function show(number, { imagePlace = 0 } = {}) {
  if (number === undefined || number === null) return;
  leave();
  const mineNow = ++turn;
  setLoading(true);
  list.mark(number);
  history.replaceState(null, "", `#${number}`);
  const item = await get(`/api/items/${number}`).catch((error) => toast(error.message));
  if (mineNow !== turn) return; // another page was chosen meanwhile
  setLoading(false);
  if (!item) return;
  const conflict = conflicts.get(number);
  current = { number, item, version: item.version, state: conflict?.state ?? item.state, imagePlace };
  fill(conflict?.text ?? item.text);
  if (conflict) current.shown = null;
  find("readings").replaceChildren(); // those of the page before are not to be clicked
  drawItem();
  drawPicture();
  compare();
  prefetch();
}

function fill(text) {
  editor.value = text;
  current.shown = editor.value;
}

function setLoading(now) {
  loading = now;
  editor.readOnly = now;
}

// Whatever is typed goes on its way before another page is shown.
function leave() {
  if (!current) return;
  if (conflicts.has(current.number)) conflicts.get(current.number).text = editor.value;
  else if (isTyped()) save();
}

function save(state = current.state) {
  clearTimeout(saveTimer);
  const { number, version } = current;
  current.state = state;
  // A text that was only marked is sent as it came.
  const text = isTyped() ? editor.value : current.item.text;
  current.item = { ...current.item, text };
  current.shown = editor.value;
  conflicts.delete(number);
  failures.delete(number);
  drawConflict();
  drawSaving();
  return outbox.put(number, version, text, state);
}

function mark(state) {
  if (!current || loading) return;
  if (conflicts.has(current.number)) {
    current.state = state;
    conflicts.get(current.number).state = state;
    drawStates();
    toast("Decide first which text is to stay.");
    return;
  }
  const same = state === current.state && !isTyped();
  if (!same) save(state);
  drawStates();
  if (!find("go-on").checked) return;
  const next = list.beside(1);
  if (next) show(next);
  else toast("That was the last page of the list.");
}

function onType() {
  clearTimeout(compareTimer);
  clearTimeout(saveTimer);
  compareTimer = setTimeout(compare, COMPARE_AFTER_MS);
  setStale(find("readings"));
  if (conflicts.has(current.number)) return;
  const { number, version, state } = current;
  if (isTyped()) outbox.keep({ key: newKey(), number, version, text: editor.value, state, reviewer: reviewer() });
  saveTimer = setTimeout(() => isTyped() && save(), SAVE_AFTER_MS);
  drawSaving();
}

// Put a text into the editor so that the browser's own undo knows of it; nothing if what it was made of is gone.
function take(text, madeOf = editor.value) {
  if (loading || madeOf !== editor.value) return;
  const focused = document.activeElement;
  editor.focus({ preventScroll: true });
  editor.select();
  if (!document.execCommand("insertText", false, text)) editor.value = text;
  if (editor.value !== text) editor.value = text; // an empty text is not inserted by some browsers
  if (focused !== editor) editor.blur();
  onType();
  clearTimeout(compareTimer);
  compare();
}

async function compare() {
  const { number } = current;
  const text = editor.value;
  const conflict = conflicts.get(number);
  const readings = conflict ? { theirs: conflict.item.text } : {};
  const { start, reference, prediction } = current.item;
  if (start !== null && start !== reference && start !== prediction) readings.start = start;
  try {
    const found = await post(`/api/items/${number}/differences`, { text, readings });
    if (current.number !== number || editor.value !== text) return;
    const { theirs, prediction: read, reference: wanted, ...others } = found;
    const ordered = Object.fromEntries(Object.entries({ theirs, prediction: read, reference: wanted, ...others }).filter(([, spans]) => spans));
    drawReadings(find("readings"), number, ordered, { theirs: `Text of ${named(conflict?.item.reviewer)}`, start: "At the start" }, take);
  } catch (error) {
    if (error instanceof Refused) return toast(error.message);
    // The server is away; saving tells.
    if (current.number !== number || editor.value !== text) return;
    clearTimeout(compareTimer);
    compareTimer = setTimeout(compare, COMPARE_AGAIN_MS);
  }
}

async function undo() {
  if (undoing) return; // a second one would take back another edit before anybody has seen the first
  undoing = true;
  try {
    await undoLast();
  } finally {
    undoing = false;
  }
}

async function undoLast() {
  const number = mine.pop() ?? current?.number;
  if (!number) return;
  if (conflicts.has(number)) return toast("Decide first which text is to stay.");
  if (isTyped() && current.number === number) save();
  await outbox.sending.get(number);
  if (current.number !== number) await show(number);
  if (current.number !== number) return mine.push(number); // it could not be shown
  const seen = editor.value;
  // What was typed while the server was away stays: its save tells that the page has changed.
  const shows = () => current.number !== number || editor.value === seen;
  try {
    const outcome = await outbox.insist(`/api/items/${number}/undo`, { key: newKey(), version: current.version, reviewer: reviewer() });
    if (mine.at(-1) === number) mine.pop(); // the save above
    if (shows()) adopt(outcome.item);
    onSavedCounts(outcome.counts);
    list.update(asEntry(outcome.item));
  } catch (error) {
    if (error instanceof Refused && error.body?.item) {
      if (shows()) adopt(error.body.item);
      toast(`${named(error.body.item.reviewer)} changed this page meanwhile; nothing was undone.`);
    } else toast(error.message);
  }
}

// Show an item as the server has it now.
function adopt(item) {
  if (current.number !== item.number) return;
  current.item = { ...current.item, ...item };
  current.version = item.version;
  current.state = item.state;
  fill(item.text);
  drawItem();
  compare();
}

// ---- what the outbox tells ----

const asEntry = ({ number, state, corrected, text, reviewer: by }) => ({ number, state, corrected, reviewer: by, snippet: text.slice(0, 120) });

function onSaved(edit, outcome) {
  const { item } = outcome;
  if (outcome.version > edit.version && mine.at(-1) !== edit.number) mine.push(edit.number);
  list.update(asEntry(item));
  onSavedCounts(outcome.counts);
  if (current?.number !== edit.number) return;
  if (edit.restored) {
    // Sent by an earlier visit: the page shows what was there before it came.
    if (!isTyped()) adopt(item);
    return;
  }
  current.version = outcome.version;
  current.item = { ...current.item, version: item.version, reviewer: item.reviewer, changed_at: item.changed_at, text: edit.text };
  drawLast();
  if (find("history").open) drawHistory();
}

function onRefused(edit, { item }) {
  conflicts.set(edit.number, { item, text: edit.text, state: edit.state });
  if (current?.number === edit.number) {
    conflicts.get(edit.number).text = editor.value;
    current.version = item.version;
    drawItem();
    compare();
  } else {
    toast(`${named(item.reviewer)} saved another text of a page you changed. Both are kept.`, { label: "Look", act: () => show(edit.number) });
  }
}

function onFailed(edit, error) {
  failures.set(edit.number, error.message);
  drawSaving();
  toast(`Not saved: ${error.message}`);
}

function onSavedCounts(counts) {
  const done = counts.all - counts.open;
  find("progress").textContent = `${done.toLocaleString()} of ${counts.all.toLocaleString()} reviewed`;
  find("fill").style.width = `${(100 * done) / Math.max(counts.all, 1)}%`;
  find("track").setAttribute("aria-valuemax", counts.all);
  find("track").setAttribute("aria-valuenow", done);
}

// ---- drawing ----

function drawItem() {
  const { item } = current;
  find("name").textContent = item.name;
  find("name").title = item.where;
  find("reason").textContent = item.reason;
  drawStates();
  drawLast();
  drawConflict();
  drawSaving();
  if (find("history").open) drawHistory();
}

function drawLast() {
  const { reviewer: by, changed_at: when } = current.item;
  const what = current.state === "open" ? "changed" : WORDS[current.state];
  find("last").textContent = when ? `${what}, ${by ? `${by}, ` : ""}${at(when)}` : "";
}

function drawStates() {
  for (const button of document.querySelectorAll("[data-state][aria-pressed]"))
    button.setAttribute("aria-pressed", String(button.dataset.state === current.state));
}

function drawConflict() {
  const conflict = conflicts.get(current.number);
  find("conflict").hidden = !conflict;
  if (!conflict) return;
  const { item } = conflict;
  find("conflict-words").textContent =
    `${item.reviewer || "Somebody else"} saved this page meanwhile (${WORDS[item.state]}, ${at(item.changed_at)}). Both texts are kept in the history. ` +
    "Yours stands below: take over single differences, or decide for one.";
}

function drawSaving() {
  const [state, words] = savingState();
  find("saving").dataset.state = state;
  find("saving").textContent = words;
}

function savingState() {
  if (outbox.trouble === "closed") return ["trouble", "not saved: open the newest link"];
  if (outbox.trouble) return ["trouble", "not saved: trying again"];
  if (failures.size) return ["trouble", "not saved"];
  if (conflicts.size) return ["trouble", conflicts.size === 1 ? "1 page to decide" : `${conflicts.size} pages to decide`];
  if (outbox.busy) return ["busy", "saving…"];
  return isTyped() ? ["busy", "typing…"] : ["saved", "all saved"];
}

function drawPicture() {
  const { item, number, imagePlace } = current;
  const size = item.images[imagePlace];
  find("no-picture").hidden = Boolean(size);
  find("no-picture").textContent = item.images.length ? "The image cannot be opened." : "This page has no image.";
  find("viewport").setAttribute("aria-label", `scan of ${item.name}`);
  find("pager").hidden = item.images.length < 2;
  find("image-place").textContent = `${imagePlace + 1} of ${item.images.length}`;
  if (size) viewer.show(size, (detail) => address(number, imagePlace, detail));
  else viewer.clear();
  // Boxes are of pages with one image: of several nobody knows which one a box is on.
  const found = size && item.images.length === 1 ? (item.boxes ?? []) : [];
  viewer.drawBoxes(found);
  find("boxes-toggle").hidden = !found.length;
}

const address = (number, place, detail) => `/api/items/${number}/images/${place}?detail=${detail}&start=${review.start}`;

function prefetch() {
  const next = list.beside(1);
  if (next) new Image().src = address(next, 0, "view");
}

function toggleBoxes() {
  const shown = find("boxes-toggle").getAttribute("aria-pressed") !== "true";
  find("boxes-toggle").setAttribute("aria-pressed", String(shown));
  find("boxes").style.display = shown ? "" : "none";
}

function turnImage(step) {
  const place = current.imagePlace + step;
  if (place < 0 || place >= current.item.images.length) return;
  current.imagePlace = place;
  drawPicture();
}

async function drawHistory() {
  const { number } = current;
  const edits = await get(`/api/items/${number}/history`).catch(() => null);
  if (edits && current.number === number) drawEdits(find("edits"), edits, take);
}

// ---- others' work ----

async function look() {
  if (document.hidden) return;
  const found = await get(`/api/changes?since=${lastEdit}`).catch(() => null);
  if (!found) return;
  lastEdit = found.last_edit;
  onSavedCounts(found.counts);
  found.items.forEach((entry) => list.update(entry));
  if (!current || !found.items.some((entry) => entry.number === current.number)) return;
  if (isTyped() || outbox.busy || conflicts.has(current.number)) return; // the save will tell
  const { number } = current;
  const item = await get(`/api/items/${number}`).catch(() => null);
  if (!item || current.number !== number || item.version <= current.version || isTyped() || outbox.busy) return;
  adopt(item);
  toast(`${named(item.reviewer)} has just changed this page.`);
}

// ---- setting up ----

function filter() {
  return { state: find("state").value, search: find("search").value.trim(), order: find("order").value };
}

async function refilter() {
  if (!(await list.load(filter()))) return;
  if (current && list.place(current.number) >= 0) list.mark(current.number);
}

function onClick(name, act) {
  find(name).addEventListener("click", act);
}

function connect() {
  editor.addEventListener("input", onType);
  for (const button of document.querySelectorAll("[data-state][aria-pressed]"))
    button.addEventListener("click", () => mark(button.dataset.state));
  onClick("before", () => show(list.beside(-1)));
  onClick("after", () => show(list.beside(1)));
  onClick("undo", undo);
  onClick("boxes-toggle", toggleBoxes);
  onClick("zoom-in", () => viewer.larger());
  onClick("zoom-out", () => viewer.smaller());
  onClick("zoom-fit", () => viewer.fit());
  onClick("image-before", () => turnImage(-1));
  onClick("image-after", () => turnImage(1));
  onClick("keep-mine", () => save());
  onClick("take-theirs", takeTheirs);
  onClick("list-toggle", () => openList(find("list-toggle").getAttribute("aria-expanded") === "false"));
  find("history").addEventListener("toggle", () => find("history").open && current && drawHistory());
  for (const name of ["state", "order"]) find(name).addEventListener("change", refilter);
  find("search").addEventListener("input", () => {
    clearTimeout(connect.timer);
    connect.timer = setTimeout(refilter, 200);
  });
  addEventListener("pagehide", leave);
  addEventListener("beforeunload", (event) => (isTyped() || outbox.busy || conflicts.size) && event.preventDefault());
  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) || undefined));
}

// All that is typed is on the server, or waits for a decision.
async function settle() {
  if (isTyped() && !conflicts.has(current.number)) save();
  await Promise.all(outbox.sending.values());
}

function takeTheirs() {
  const { item } = conflicts.get(current.number);
  conflicts.delete(current.number);
  adopt(item);
}

function openList(open) {
  find("list-toggle").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("list-open", open);
}

const actions = {
  good: () => mark("good"),
  wrong: () => mark("wrong"),
  unsure: () => mark("unsure"),
  skip: () => mark("skip"),
  before: () => show(list.beside(-1)),
  after: () => show(list.beside(1)),
  edit: () => editor.focus(),
  reference: () => current?.item.reference !== null && take(current.item.reference),
  prediction: () => current?.item.prediction !== null && take(current.item.prediction),
  undo,
  larger: () => viewer.larger(),
  smaller: () => viewer.smaller(),
  fit: () => viewer.fit(),
  boxes: toggleBoxes,
  search: () => find("search").focus(),
  help: showHelp,
  save: () => isTyped() && !conflicts.has(current.number) && save(),
};

async function start() {
  review = await get("/api/review");
  lastEdit = review.last_edit;
  document.title = `${review.title} · ocrtune review`;
  find("title").textContent = review.title;
  viewer = new Viewer(find("viewport"), find("picture"), find("boxes"), find("zoom"), (shape) => (find("main").dataset.shape = shape));
  outbox = new Outbox(review.folder, reviewer, { saved: onSaved, refused: onRefused, failed: onFailed, changed: drawSaving });
  list = new List(find("rows"), find("spacer"), find("no-rows"), (number) => {
    openList(false);
    show(number);
  });
  connect();
  connectDialogs(review.folder, settle);
  listenForKeys(editor, actions, () => find("single-keys").checked);
  onSavedCounts(review.counts);
  // What an earlier visit left is there before anything is shown, if the server takes it.
  await Promise.race([outbox.restore(), wait(RESTORE_MS)]);
  await list.load(filter());
  await show(Number(location.hash.slice(1)) || list.numbers[0]);
  askNameOnce();
  setInterval(look, LOOK_EVERY_MS);
}

start().catch((error) => toast(`The review cannot be shown: ${error.message}`));
