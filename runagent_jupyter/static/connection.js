// The connection to the kernel: takes its messages in order, and asks again for lost ones.
import { Transcript } from "./transcript.js";

const SILENCE = 2_000; // ms without news of an answer, after which the page asks for them
const LONGEST = 60_000; // ms between two questions that the kernel leaves open

/** Milliseconds that the kernel usually needs at most to take a message. */
export const PATIENCE = 1_000;

/**
 * Read JSON that the kernel has deflated.
 * @param {DataView} buffer
 * @returns {Promise<any>}
 */
function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/**
 * Have a model's messages come through. anywidget holds them back until the widget has loaded, and
 * if that takes more than two seconds, as in a busy page, it drops all of them for good.
 * @param {any} model
 */
function hear(model) {
  let whole; // anywidget hands a part of the model on, but an event has the whole
  const take = (changed) => (whole = changed);
  model.on("change:_heard", take);
  model.set("_heard", Date.now());
  model.off("change:_heard", take);
  model.set("_heard", undefined);
  if (!whole?.comm?.on_msg) return; // a front end without ipywidgets
  const { _handle_comm_msg: handle } = Object.getPrototypeOf(Object.getPrototypeOf(whole));
  whole.comm.on_msg((message) => handle.call(whole, message));
}

/** The state that all views of a chat share. */
export class Connection {
  /** @type {any} */
  model;
  transcript = new Transcript();
  /** @type {Set<{receive: (type: string, content: any) => void}>} */
  views = new Set();
  isLive = true; // whether there is a kernel
  wasLive = false; // whether it has said anything
  heard = 0; // the time of the last message
  wait = 0; // ms after which the page asks again, 0 if the kernel owes it nothing
  order = Promise.resolve(); // the messages before the next one

  /**
   * Send a message, if there is still a kernel.
   * @param {{type: string}} message
   * @param {ArrayBuffer[]} [buffers]
   */
  post(message, buffers) {
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      for (const view of this.views) view.receive("gone", {});
    }
  }

  /**
   * Ask the kernel for the conversation, in case this page has missed a part of it.
   * @param {number} [wait] ms after which it asks again, should the answer be lost
   */
  sync(wait = SILENCE) {
    this.heard = Date.now();
    this.wait = wait;
    this.post({ type: "sync", seq: this.transcript.seq });
  }

  /**
   * Listen to the kernel, beginning with the conversation as it was saved.
   * @param {any} model
   * @returns {Promise<() => void>} A function that ends this.
   */
  async open(model) {
    this.model = model;
    const listen = ({ type, seq }, buffers) => {
      const content = inflate(buffers[0]);
      const take = async () => this.take(type, seq, await content);
      this.order = this.order.then(take).catch(console.error);
    };
    // A server drops messages of a kernel that sends too many; the last one may be among them.
    const watch = setInterval(() => {
      const wait = this.wait || (this.transcript.busy && SILENCE);
      if (!this.isLive || !wait || Date.now() - this.heard <= wait) return;
      if (this.wait) hear(model);
      this.sync(Math.min(2 * wait, LONGEST));
    }, SILENCE / 4);
    model.on("msg:custom", listen);
    // A kernel deflates the snapshot. One that a page has set is plain; a notebook that is saved
    // with the state of its widgets contains it.
    const saved = model.get("_snapshot");
    if (saved?.deflated) this.order = inflate(saved.deflated);
    else if (saved?.turns) this.order = Promise.resolve(saved);
    this.order = this.order.then((whole) => whole && this.transcript.take("turns", whole.seq, whole));
    await this.order.catch(console.error);
    this.sync(); // the state may be older than the last message, or have been lost on its way
    return () => {
      clearInterval(watch);
      model.off("msg:custom", listen);
    };
  }

  /**
   * Take a message, and show it in all views.
   * @param {string} type
   * @param {number} seq
   * @param {any} content
   */
  take(type, seq, content) {
    this.wasLive = true;
    if (type === "current") { // the answer to a page that has all
      if (seq === this.transcript.seq) this.wait = 0;
      return;
    }
    const outcome = this.transcript.take(type, seq, content);
    if (outcome === "old") return;
    if (outcome === "gap") {
      if (Date.now() - this.heard > PATIENCE) this.sync();
      return;
    }
    this.heard = Date.now();
    this.wait = 0;
    const { busy, turns } = this.transcript;
    // For a notebook that is saved with the state of its widgets.
    if (!busy) this.model.set("_snapshot", { first: 0, seq, turns });
    for (const view of this.views) view.receive(type, content);
  }
}
