// The input area of a chat: the question that is being written, sent or edited, and what goes along.
import { PATIENCE } from "./connection.js";
import { button, chips, make } from "./dom.js";
import { itemsOf } from "./question_view.js";

const STOPPING = "The kernel is busy: the answer stops as soon as it is free.";
const QUEUED = "It is sent when this answer ends, unless you change it.";
const CHANGED = "The chat has changed: your text would be sent as a new question.";
const PIECE = 4_000_000; // bytes of a message; servers close the connection of a page for 10 MB

/**
 * What goes along: a file, or something that went along with an earlier question, which `kept`
 * names by the id of that question and by its position there.
 * @typedef {{label: string, name?: string, size?: number, data?: ArrayBuffer,
 *   kept?: [number, number]}} Item
 */

/**
 * A question that the kernel has not taken yet.
 * @typedef {{text: string, request: string, timer: number, isLate: boolean, items: Item[]}} Pending
 */

/** The part of a view that holds the input area. The view has a `follower` too. */
export class Composer {
  /** @type {number | null} the id of the question that is being edited */
  edited = null;
  /** @type {[string, Item[]][]} the text of the input and the items before each editing */
  drafts = [];
  /** @type {Pending | undefined} */
  pending;
  /** @type {Pending | undefined} a question that was cancelled, which the kernel may still take */
  left;
  /** @type {Item[]} */
  items = [];
  added = Promise.resolve(); // when all files that were given have been read
  /** @type {[string, string][]} the variables that the text names, and their labels */
  known = [];
  first = ""; // the variable that Enter takes
  /** @type {number | null} the id of the question whose answer the question in the input waits for */
  queued = null;
  asked = 0; // the name of the last request for variables
  note = make("div", "note");
  along = chips();
  options = chips();
  input = make("textarea", "input");
  picker = make("select", "button");
  chooser = make("input");
  send = button("Send", () => this.submit(), "button primary");
  stop = button("Stop", () => this.halt());
  cancel = button("Cancel", () => this.leave());

  /**
   * @param {any} model
   * @param {import("./connection.js").Connection} connection
   */
  constructor(model, connection) {
    const { chooser, input, picker } = this;
    this.model = model;
    this.connection = connection;
    this.transcript = connection.transcript;
    const attach = button("Attach", () => chooser.click());
    const buttons = [picker, attach, this.cancel, this.send, this.stop];
    this.form = make("div", "form", this.along, this.options, input, chooser, ...buttons);
    this.note.role = this.options.role = "status";
    Object.assign(input, { rows: 1, dir: "auto", ariaLabel: "Question" });
    Object.assign(chooser, { type: "file", multiple: true, hidden: true });
    picker.ariaLabel = "Send to";
    input.oninput = () => this.onInput();
    input.onpaste = (event) => {
      const data = event.clipboardData;
      this.add(data.files);
      if (data.files.length && !data.getData("text")) event.preventDefault();
    };
    picker.onchange = () => this.post({ type: "choose", agent: picker.value });
    chooser.onchange = () => {
      this.add(chooser.files);
      chooser.value = "";
    };
  }

  /** Whether a question can be asked. */
  get isFree() {
    return !this.pending && !this.transcript.busy && this.connection.isLive;
  }

  /** The id of the last question. */
  get lastId() {
    return this.transcript.turns.at(-2)?.id;
  }

  /**
   * @param {{type: string}} message
   * @param {ArrayBuffer[]} [buffers]
   */
  post(message, buffers) {
    this.connection.post(message, buffers);
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
  }

  // --- What goes along ---

  /** @param {Iterable<File>} files */
  add(files) {
    const given = [...files]; // the page empties its list
    this.added = this.added.then(() => this.read(given));
  }

  /** @param {File[]} files */
  async read(files) {
    const [most, largest, together, bounds] = this.model.get("_bounds");
    const refused = [];
    for (const file of files) {
      const { name, size } = file;
      const label = `${name.replace(/\p{C}/gu, "")} · ${Math.ceil(size / 1e3)} kB`;
      const data = size <= largest && await file.arrayBuffer().catch(() => null); // none of a folder
      const { items } = this;
      const sum = items.reduce((all, item) => all + (item.size ?? 0), size);
      const isTaken = data && sum <= together && items.length < most;
      (isTaken ? items : refused).push({ label, name, size, data });
    }
    this.drawChips();
    if (refused.length) this.say(`${refused.length} not attached (${refused[0].label}). ${bounds}`);
  }

  /**
   * Take files that are dragged into the chat.
   * @param {DragEvent} event
   */
  onDrag(event) {
    const { types, files } = event.dataTransfer;
    if (!types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "drop") this.add(files);
  }

  onInput() {
    const { value, selectionStart } = this.input;
    this.wait(null);
    this.fitInput();
    this.first = "";
    this.asked = Math.random();
    if (value.includes("@") && value.length < 1e5) {
      const before = value.slice(0, selectionStart);
      this.post({ type: "names", text: value, before, request: this.asked });
    } else {
      this.known = [];
      this.options.replaceChildren();
    }
    this.drawChips();
  }

  drawChips() {
    const draw = (label, remove) => {
      const cross = button("×", () => {
        remove();
        this.onInput();
      });
      cross.ariaLabel = `Remove ${label}`;
      return [label, cross];
    };
    const items = this.items.map(({ label }, i) => draw(label, () => this.items.splice(i, 1)));
    const variables = this.known.map(([name, label]) => draw(label, () => {
      this.input.value = this.input.value.replace(new RegExp(`@(?=${name}(?!\\w))`, "g"), "");
    }));
    this.along.replaceChildren(...chips(...items, ...variables).childNodes);
  }

  /**
   * Show the variables that the text names, and those that may be meant by the name at its end.
   * @param {{request: number, first?: string, offered: [string, string][], known: [string, string][]}} found
   */
  receiveNames({ request, first, offered, known }) {
    if (request !== this.asked) return;
    this.first = first;
    this.known = known;
    const offer = ([name, label]) => button(label, () => this.complete(name));
    this.options.replaceChildren(...offered.map(offer));
    this.drawChips();
  }

  /** @param {string} name */
  complete(name) {
    const { input } = this;
    const { selectionStart: end, value } = input;
    input.setRangeText(`${name} `, value.lastIndexOf("@", end - 1) + 1, end, "end");
    input.focus();
    this.onInput();
  }

  // --- Asking ---

  /**
   * Send a question.
   * @param {string} text
   * @param {number} [at] The id of the question beside which it begins a branch.
   * @param {Item[]} items
   */
  ask(text, at, items = []) {
    if (!this.isFree) return;
    const request = `${Math.random()}`;
    const timer = setTimeout(() => {
      this.pending.isLate = true;
      this.say("The kernel is busy: it takes the question as soon as it is free.");
      this.refresh();
    }, PATIENCE);
    this.pending = { text, request, timer, isLate: false, items: [...items] };
    this.say("");
    const files = items.filter(({ data }) => data).map(({ name, size, data }, file) => {
      for (let at = 0; at < size; at += PIECE) {
        this.post({ type: "piece", file, at, request }, [data.slice(at, at + PIECE)]);
      }
      return { name, size };
    });
    const kept = items.flatMap((item) => item.kept ? [item.kept] : []);
    const named = text === this.input.value ? this.known.map(([name]) => name) : [];
    this.post({ type: "ask", text, at, after: this.lastId, request, files, kept, named });
    this.refresh();
  }

  async submit() {
    await this.added;
    const { value } = this.input;
    if (!value.trim()) return;
    const isEarly = this.transcript.busy && this.connection.isLive;
    this.wait(isEarly ? this.lastId : null);
    if (!isEarly) this.ask(value, this.edited, this.items);
  }

  /**
   * Have the question in the input wait for an answer, and say so in all views.
   * @param {number | null} id The id of the question that is being answered; null not to wait.
   */
  wait(id) {
    if (this.queued === id && id === null) return;
    this.queued = id;
    const views = [...this.connection.views];
    const waiting = views.filter(({ queued }) => queued !== null);
    for (const view of views) {
      const tell = (other) => other === view ? QUEUED : `Waits in another view: ${other.input.value.slice(0, 99)}`;
      view.say(waiting.map(tell).join("\n"));
    }
  }

  /**
   * Let go of a question that was being edited or waited for, if it is not shown any more.
   * @param {string} [why]
   */
  loosen(why) {
    const isGone = (id) => id !== null && !this.transcript.turns.some((turn) => turn.id === id);
    if (this.pending || !(isGone(this.edited) || isGone(this.queued))) return;
    this.wait(null);
    this.edited = null;
    this.say(why || CHANGED);
  }

  /**
   * End the wait for the kernel to take the question.
   * @param {boolean} isTaken
   * @param {string} text Why it was not taken.
   */
  settle(isTaken, text = "") {
    const sent = this.pending;
    clearTimeout(sent.timer);
    this.pending = undefined;
    this.say(text);
    if (isTaken) {
      this.items = this.items.filter((item) => !sent.items.includes(item));
      if (this.input.value === sent.text) {
        this.restore(this.items.filter(({ data }) => data)); // added meanwhile
      }
      this.onInput();
      this.follower.toEnd();
    }
    this.loosen(text);
  }

  halt() {
    this.post({ type: "stop" });
    setTimeout(() => {
      if (this.transcript.busy && this.connection.isLive) this.say(STOPPING);
    }, PATIENCE);
  }

  /**
   * Put a question into the input, to send another one beside it.
   * @param {import("./transcript.js").Question | undefined} question
   */
  edit(question) {
    if (!question || !this.isFree) return;
    if (this.edited === null) this.drafts.push([this.input.value, this.items]);
    this.edited = question.id;
    this.items = itemsOf(question);
    this.input.value = question.text;
    this.onInput();
    this.say("Sending begins a new branch here. The old one stays.");
    this.refresh();
    this.input.focus();
  }

  /** Cancel the question that the kernel has not taken yet, or the editing. The input keeps its text. */
  leave() {
    this.left = this.pending;
    if (this.pending) this.settle(false, "The kernel may still take the question when it is free.");
    else if (this.drafts.length) {
      this.restore();
      this.onInput();
      this.say("");
    }
    this.refresh();
  }

  /**
   * Put back into the input what was in it before the editing.
   * @param {Item[]} items More that goes along.
   */
  restore(items = []) {
    const [text, before] = this.drafts.pop() ?? ["", []];
    this.edited = null;
    this.input.value = text;
    this.items = [...before, ...items];
  }

  /** Learn whether the kernel has taken the question: it is among the turns then. */
  checkTaken() {
    const { turns } = this.transcript;
    const isTaken = (sent) => sent && turns.some((turn) => turn.request === sent.request);
    if (isTaken(this.left)) this.pending ??= this.left;
    if (isTaken(this.pending)) this.settle(true);
  }

  /** The answer has ended. */
  onEnding() {
    if (this.note.textContent === STOPPING) this.say("");
    if (this.queued !== null) this.submit();
  }

  /** Show the actions that are possible now, and the agents. */
  refresh() {
    const { isLive } = this.connection;
    const isBusy = isLive && !this.isFree;
    this.input.readOnly = !!this.pending;
    this.cancel.hidden = !this.pending?.isLate && (!this.drafts.length || isBusy);
    this.send.hidden = isBusy;
    this.send.disabled = !isLive;
    this.stop.hidden = !this.transcript.busy;
    this.fitInput();
  }

  fitInput() {
    const { input } = this;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${input.scrollHeight + 2}px`;
  }

  /**
   * Take a key in the input.
   * @param {KeyboardEvent} event
   */
  onInputKey(event) {
    const { key, shiftKey } = event;
    if (this.first && ["Enter", "Tab"].includes(key)) this.complete(this.first);
    else if (key === "Escape") this.options.replaceChildren();
    else if (key === "ArrowUp" && !this.input.value) this.edit(this.transcript.turns.at(-2));
    else if (key === "Enter" && !shiftKey) this.submit();
    else return;
    event.preventDefault();
  }
}
