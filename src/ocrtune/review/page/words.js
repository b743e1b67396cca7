// Words that are shown, and what the browser remembers of who reads them.

export const WORDS = { open: "to do", good: "good", wrong: "wrong", unsure: "unsure", skip: "skip" };

export const remembered = (name, otherwise) => localStorage.getItem(`ocrtune-review-${name}`) ?? otherwise;
export const remember = (name, value) => localStorage.setItem(`ocrtune-review-${name}`, value);
export const reviewer = () => remembered("name", "");
export const named = (name) => name || "somebody";
export const find = (name) => document.getElementById(name);

export function at(time) {
  return new Date(time).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

// A line that goes by itself; action: { label, act } of a button in it.
export function toast(words, action = null) {
  find("toast-words").textContent = words;
  const button = find("toast-act");
  button.hidden = !action;
  if (action) {
    button.textContent = action.label;
    button.onclick = () => {
      find("toast").hidden = true;
      action.act();
    };
  }
  find("toast").hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (find("toast").hidden = true), action ? 12000 : 5000);
}
