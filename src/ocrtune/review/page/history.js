// What became of a page, latest first; any text of it can be taken back into the editor.

import { element } from "./readings.js";
import { WORDS, at, named } from "./words.js";

// edits: as the server tells them; take: called with a text.
export function drawEdits(box, edits, take) {
  const rows = edits.map((edit) => drawEdit(edit, take));
  box.replaceChildren(...(rows.length ? rows : [element("li", "soft", "Nobody has changed this page yet.")]));
}

function drawEdit(edit, take) {
  const row = element("li", edit.accepted ? "" : "refused");
  const text = element("p", "letters", edit.after || "(no text)");
  text.dir = "auto";
  const button = element("button", "quiet", "Use this text");
  button.type = "button";
  button.addEventListener("click", () => take(edit.after));
  row.append(element("span", "soft", `${at(edit.at)}, ${named(edit.reviewer)}: ${inWords(edit)}`), text, button);
  return row;
}

function inWords(edit) {
  const words = [];
  if (edit.kind === "undo") words.push("undone");
  if (edit.before !== edit.after && edit.kind === "save") words.push("text");
  if (edit.state_before !== edit.state_after) words.push(WORDS[edit.state_after]);
  if (!edit.accepted) words.push("came too late, kept here only");
  return words.join(", ");
}
