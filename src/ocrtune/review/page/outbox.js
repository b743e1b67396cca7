// Edits on their way. Each has a key, so that one sent twice is done once, and lies in the browser's storage until the
// server has said that it is on disk: neither a server nor a browser that dies loses it.

import { Refused, newKey, post, wait } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export class Outbox {
  // review: what the stored edits are of; handlers: saved, refused, failed, changed.
  constructor(review, reviewer, handlers) {
    this.prefix = `ocrtune-review:${review}:`;
    this.reviewer = reviewer;
    this.handlers = handlers;
    this.wanted = new Map(); // number → the edit that is to be sent next
    this.sending = new Map(); // number → promise of the one that is being sent
    this.trouble = "";
  }

  // Edits that an earlier visit did not get through; sent as they were.
  restore() {
    for (let place = 0; place < localStorage.length; place++) {
      const name = localStorage.key(place);
      if (!name.startsWith(this.prefix)) continue;
      const edit = JSON.parse(localStorage.getItem(name));
      this.wanted.set(edit.number, { ...edit, restored: true });
    }
    return Promise.all([...this.wanted.keys()].map((number) => this.flush(number)));
  }

  get busy() {
    return this.wanted.size + this.sending.size > 0;
  }

  put(number, version, text, state) {
    const waiting = this.wanted.get(number);
    // One that was never sent may be replaced; its version is that of the text it was made from.
    const edit = { key: newKey(), number, version: waiting?.version ?? version, text, state, reviewer: this.reviewer() };
    this.wanted.set(number, edit);
    this.keep(edit);
    return this.flush(number);
  }

  flush(number) {
    if (!this.sending.has(number)) {
      const work = this.send(number).finally(() => {
        this.sending.delete(number);
        this.handlers.changed();
      });
      this.sending.set(number, work);
      this.handlers.changed();
    }
    return this.sending.get(number);
  }

  async send(number) {
    while (this.wanted.has(number)) {
      const edit = this.wanted.get(number);
      this.wanted.delete(number);
      const outcome = await this.deliver(edit);
      this.forget(edit);
      if (outcome === null) return;
      const next = this.wanted.get(number);
      if (next) {
        next.version = outcome.version;
        this.keep(next);
      }
      this.handlers.saved(edit, outcome);
    }
  }

  async deliver(edit) {
    for (let pause = FIRST_WAIT_MS; ; pause = Math.min(2 * pause, LONGEST_WAIT_MS)) {
      try {
        const { key, number, version, text, state, reviewer } = edit;
        const outcome = await post(`/api/items/${number}/save`, { key, version, text, state, reviewer });
        this.tell("");
        return outcome;
      } catch (error) {
        if (error instanceof Refused && error.status === 409 && error.body?.item) {
          this.tell("");
          // What was typed since is of the same old version.
          const next = this.wanted.get(edit.number);
          this.wanted.delete(edit.number);
          this.handlers.refused(next ?? edit, error.body);
          return null;
        }
        if (error instanceof Refused && (error.status === 422 || error.status === 404)) {
          this.handlers.failed(edit, error);
          return null;
        }
        // 403: another start of the server. The edit stays here for the next link.
        this.tell(error.status === 403 ? "closed" : "retrying");
        await wait(pause);
      }
    }
  }

  // Sent again until the server answers; body has a key, so that it is done once. What it refuses is thrown.
  async insist(path, body) {
    for (let pause = FIRST_WAIT_MS; ; pause = Math.min(2 * pause, LONGEST_WAIT_MS)) {
      try {
        const outcome = await post(path, body);
        this.tell("");
        return outcome;
      } catch (error) {
        if (error instanceof Refused && error.status !== 403 && error.status < 500) {
          this.tell("");
          throw error;
        }
        this.tell(error.status === 403 ? "closed" : "retrying");
        await wait(pause);
      }
    }
  }

  tell(trouble) {
    this.trouble = trouble;
    this.handlers.changed();
  }

  keep(edit) {
    localStorage.setItem(this.prefix + edit.number, JSON.stringify(edit));
  }

  // Another window may have put an edit of its own there meanwhile.
  forget(edit) {
    const name = this.prefix + edit.number;
    if (JSON.parse(localStorage.getItem(name))?.key === edit.key) localStorage.removeItem(name);
  }
}
