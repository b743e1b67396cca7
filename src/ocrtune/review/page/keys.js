// Keys → actions. Single letters count only where nothing is typed.

const SINGLE = {
  g: "good",
  w: "wrong",
  u: "unsure",
  s: "skip",
  j: "after",
  k: "before",
  ArrowDown: "after",
  ArrowUp: "before",
  e: "edit",
  r: "reference",
  p: "prediction",
  z: "undo",
  "+": "larger",
  "=": "larger",
  "-": "smaller",
  0: "fit",
  b: "boxes",
  "/": "search",
  "?": "help",
};

const MARKS = new Set(["good", "wrong", "unsure", "skip", "undo"]);

export function listenForKeys(editor, actions, singleKeys) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const name = actionOf(event, editor, singleKeys());
    // A key that is held down says nothing of the pages after the first.
    if (!name || (event.repeat && MARKS.has(name))) return;
    event.preventDefault();
    actions[name]();
  });
}

function actionOf(event, editor, singleKeys) {
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key === "Enter") return "good";
  if (command && event.key.toLowerCase() === "s") return "save";
  if (event.altKey && !command && event.key === "ArrowDown") return "after";
  if (event.altKey && !command && event.key === "ArrowUp") return "before";
  if (event.key === "Escape" && isTyping(event.target)) {
    event.target.blur();
    return null;
  }
  const taken = command || event.altKey || event.isComposing || isTyping(event.target);
  return taken || !singleKeys ? null : SINGLE[event.key];
}

const isTyping = (target) => ["TEXTAREA", "INPUT", "SELECT"].includes(target.tagName);
