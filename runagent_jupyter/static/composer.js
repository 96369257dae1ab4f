// The input area of a chat: the question that is being written, sent or edited.
import { PATIENCE } from "./connection.js";
import { button, make } from "./dom.js";

const STOPPING = "The kernel is busy: the answer stops as soon as the kernel is free.";
const TALLEST = 240; // pixels of the input

/**
 * A question that the kernel has not taken yet.
 * @typedef {{text: string, request: string, timer: number, isLate: boolean}} Pending
 */

export class Composer {
  /** @param {import("./chat_view.js").ChatView} chat The view that this is a part of. */
  constructor(chat) {
    this.chat = chat;
    this.connection = chat.connection;
    this.transcript = chat.transcript;
    /** @type {number | undefined} the turn of the question that is being edited */
    this.edited = undefined;
    this.draft = ""; // the text of the input before the editing
    /** @type {Pending | undefined} */
    this.pending = undefined;
    /** @type {Pending | undefined} a question that was cancelled, which the kernel may still take */
    this.left = undefined;
    this.note = make("div", "note");
    this.input = make("textarea", "input");
    this.send = button("Send", () => this.submit(), "button primary");
    this.stop = button("Stop", () => this.halt());
    this.cancel = button("Cancel", () => this.leave());
    this.form = make("form", "form", this.input, this.cancel, this.send, this.stop);
    this.note.role = "status";
    this.input.rows = 1;
    this.input.dir = "auto";
    this.input.ariaLabel = "Question";
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.input.addEventListener("input", () => this.fitInput());
  }

  /** Whether a question can be asked. */
  get isFree() {
    return !this.pending && !this.transcript.busy && this.connection.isLive;
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
  }

  /**
   * Send a question.
   * @param {string} text
   * @param {number} [at] The turn that it replaces, with all turns after it.
   */
  ask(text, at) {
    if (!this.isFree) return;
    const request = crypto.getRandomValues(new Uint32Array(2)).join("-");
    const timer = setTimeout(() => {
      this.pending.isLate = true;
      this.say("The kernel is busy: it takes the question as soon as it is free.");
      this.chat.refresh();
    }, PATIENCE);
    this.pending = { text, request, timer, isLate: false };
    this.say("");
    this.chat.post({ type: "ask", text, at, request });
    this.chat.refresh();
  }

  submit() {
    if (this.input.value.trim()) this.ask(this.input.value, this.edited);
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
    if (!isTaken) return;
    if (this.input.value === sent.text) {
      if (this.edited === undefined) this.input.value = "";
      else this.leaveEdit();
    }
    this.chat.follower.toEnd();
  }

  halt() {
    this.chat.post({ type: "stop" });
    setTimeout(() => {
      if (this.transcript.busy && this.connection.isLive) this.say(STOPPING);
    }, PATIENCE);
  }

  /**
   * Put a question into the input, to send another one in its place.
   * @param {number} index Its turn.
   */
  edit(index) {
    if (index < 0 || !this.isFree) return;
    if (this.edited === undefined) this.draft = this.input.value;
    this.edited = index;
    this.input.value = this.transcript.turns[index].text;
    this.say("Sending replaces the last question and its answer.");
    this.chat.refresh();
    this.input.focus();
  }

  /** Cancel the question that the kernel has not taken yet, or the editing. The input keeps its text. */
  leave() {
    this.left = this.pending;
    if (this.pending) this.settle(false, "The kernel may still take the question when it is free.");
    else this.leaveEdit();
    this.chat.refresh();
  }

  leaveEdit() {
    if (this.edited === undefined || this.pending) return;
    this.edited = undefined;
    this.input.value = this.draft;
    this.say("");
    this.chat.refresh();
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
  }

  /** Show the actions that are possible now. */
  refresh() {
    const { isLive } = this.connection;
    const isBusy = isLive && !this.isFree;
    this.input.readOnly = !!this.pending;
    this.cancel.hidden = !this.pending?.isLate && (this.edited === undefined || isBusy);
    this.send.hidden = isBusy;
    this.send.disabled = !isLive;
    this.stop.hidden = !this.transcript.busy;
    this.fitInput();
  }

  fitInput() {
    const { input } = this;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${Math.min(input.scrollHeight + 2, TALLEST)}px`;
  }

  /**
   * Take a key in the input.
   * @param {KeyboardEvent} event
   */
  onKey(event) {
    if (event.key === "ArrowUp" && !this.input.value) {
      event.preventDefault();
      this.edit(this.chat.lastQuestion());
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }
}
