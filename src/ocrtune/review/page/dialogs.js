// The dialogs: who is reviewing, what is exported, which keys there are.

import { post } from "./api.js";
import { find, remember, remembered, reviewer } from "./words.js";

// settle: brings what is typed on its way before an export.
export function connectDialogs(folder, settle) {
  find("export-folder").textContent = folder;
  find("who").addEventListener("click", askName);
  find("name-dialog").addEventListener("close", onName);
  find("open-help").addEventListener("click", showHelp);
  find("open-export").addEventListener("click", () => {
    find("export-told").textContent = "";
    find("export-dialog").showModal();
  });
  find("export").addEventListener("click", () => exportNow(settle));
  for (const name of ["single-keys", "go-on"]) {
    find(name).checked = remembered(name, "yes") === "yes";
    find(name).addEventListener("change", () => remember(name, find(name).checked ? "yes" : "no"));
  }
  drawName();
}

// Once; the button with the name asks again.
export function askNameOnce() {
  if (remembered("asked", "") !== "yes") askName();
}

export function showHelp() {
  find("help-dialog").showModal();
}

function askName() {
  find("reviewer").value = reviewer();
  find("name-dialog").returnValue = "";
  find("name-dialog").showModal();
}

function onName() {
  const dialog = find("name-dialog");
  remember("asked", "yes");
  if (dialog.returnValue === "name") remember("name", find("reviewer").value.trim());
  else if (dialog.returnValue === "none") remember("name", "");
  drawName();
}

function drawName() {
  find("who").textContent = reviewer() || "no name";
}

async function exportNow(settle) {
  const told = find("export-told");
  find("export").disabled = true;
  told.textContent = "Writing…";
  try {
    await settle();
    const done = await post("/api/export", { name: find("export-name").value, rows: find("export-rows").value });
    told.textContent = `${done.manifest}: ${done.told}`;
  } catch (error) {
    const { message, hint } = error.body?.error ?? error;
    told.textContent = hint ? `${message} (${hint})` : message;
  } finally {
    find("export").disabled = false;
  }
}
