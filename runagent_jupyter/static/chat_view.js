// One view of the chat: shows the conversation, and sends the reader's questions to the kernel.
import { AnswerView } from "./answer_view.js";
import { PATIENCE } from "./connection.js";
import { button, copyText, download, make } from "./dom.js";
import { Follower } from "./follower.js";
import { isShortcut } from "./keys.js";
import { questionNode } from "./question_view.js";
import { Speaker } from "./speaker.js";

const TRAITS = "change:title change:placeholder change:height change:suggestions change:_sum";
const HELP = "Ask a question. Enter sends it, Shift+Enter begins a new line.";
const STOPPING = "The kernel is busy: the answer stops as soon as the kernel is free.";
const GONE = "The kernel behind this chat is gone. Run its cell again to begin a new one.";
const SURE = 4_000; // ms to confirm that the conversation is to be cleared
const TALLEST = 240; // pixels of the input

/**
 * A question that the kernel has not taken yet.
 * @typedef {{text: string, request: string, timer: number, isLate: boolean}} Pending
 */

export class ChatView {
  /**
   * @param {any} model
   * @param {import("./connection.js").Connection} connection
   */
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.transcript = connection.transcript;
    /** @type {(AnswerView | null)[]} by turn; a question has none */
    this.answers = [];
    /** @type {number | undefined} the id of the question that is being edited */
    this.edited = undefined;
    this.draft = ""; // the text of the input before the editing
    /** @type {Pending | undefined} */
    this.pending = undefined;
    /** @type {Pending | undefined} a question that was cancelled, which the kernel may still take */
    this.left = undefined;
    this.exporting = ""; // the kind of export that was asked for
    this.build();
    this.follower = new Follower(this.log, this.latest);
    this.listen();
  }

  // --- The elements ---

  build() {
    this.log = make("div", "log");
    this.latest = button("↓ Latest", () => this.follower.toEnd(), "button latest");
    this.note = make("div", "note");
    this.input = make("textarea", "input");
    this.send = button("Send", () => this.submit(), "button primary");
    this.stop = button("Stop", () => this.halt());
    this.cancel = button("Cancel", () => this.leave());
    this.form = make("form", "form", this.input, this.cancel, this.send, this.stop);
    this.save = button("Save as Markdown", () => this.requestExport("markdown"));
    this.cell = button("Copy as notebook cell", () => this.requestExport("cell"));
    this.sum = make("span", "hint");
    const items = make("div", "items", this.save, this.cell, this.sum);
    this.menu = make("details", "menu", make("summary", "button", "Export"), items);
    this.clear = button("Clear", (event) => this.forget(event));
    this.name = make("strong", "title");
    const head = make("header", "head", this.name, make("span", "tools", this.menu, this.clear));
    const scroller = make("div", "scroller", this.log, this.latest);
    this.speaker = new Speaker();
    this.root = make("section", "chat", head, scroller, this.note, this.form, this.speaker.node);
    this.style = document.createElement("style");

    this.log.role = "log";
    this.log.ariaLive = "off"; // the speaker tells what is new
    this.log.ariaLabel = "Conversation; Escape leads to the input";
    this.log.tabIndex = 0;
    this.note.role = "status";
    this.input.rows = 1;
    this.input.dir = "auto";
    this.input.ariaLabel = "Question";
  }

  listen() {
    const { form, input, root } = this;
    form.addEventListener("submit", (event) => event.preventDefault());
    input.addEventListener("input", () => this.fitInput());
    root.addEventListener("click", ({ target }) => this.refocus(!target.getClientRects().length));
    root.addEventListener("pointerdown", ({ target }) => {
      if (!this.menu.contains(target)) this.menu.open = false;
    });
    root.addEventListener("focusin", (event) => {
      const isNew = !root.contains(event.relatedTarget);
      if (this.connection.isLive && isNew) this.connection.sync(this.model);
    });
    root.addEventListener("keydown", (event) => this.onKey(event));
    this.clock = setInterval(() => {
      if (this.transcript.busy && this.connection.isLive) this.answers.at(-1)?.tick();
    }, 1_000);
    // Notebook 7 looks at the target before the event gets to `onKey`.
    this.beforeKey = (event) => {
      const { target } = event;
      if (!root.contains(target)) return;
      target.toggleAttribute("data-lm-suppress-shortcuts", !isShortcut(event));
    };
    this.onTraits = () => this.showTraits();
    const view = this;
    // anywidget calls this on its own view, whose listener for this event it has removed.
    this.onLive = function () {
      view.setLive(this?.model?.comm_live !== false);
    };
  }

  /**
   * Put the view into the page.
   * @param {HTMLElement} el
   */
  mount(el) {
    el.append(this.style, this.root);
    window.addEventListener("keydown", this.beforeKey, true);
    this.model.on(TRAITS, this.onTraits);
    this.showTraits();
    this.model.on("comm_live_update", this.onLive);
    this.connection.views.add(this);
    this.drawFrom(0);
    this.setLive(!el.closest(".jupyter-widgets-disconnected"));
    this.follower.toEnd();
  }

  /** Stop everything that the view does by itself. */
  unmount() {
    this.connection.views.delete(this);
    window.removeEventListener("keydown", this.beforeKey, true);
    clearInterval(this.clock);
    clearTimeout(this.pending?.timer);
    this.follower.disconnect();
    this.model.off(TRAITS, this.onTraits);
    this.model.off("comm_live_update", this.onLive);
  }

  /**
   * Hide the saved copy, which is for readers who open the notebook without a kernel. To them, the
   * view that was saved may know less than the copy; then it hides itself.
   */
  showOne() {
    const copy = `.runagent-${this.model.get("_copy")}`;
    const asked = document.querySelector(copy)?.querySelectorAll(".runagent-question").length;
    const { isLive, wasLive } = this.connection;
    this.root.hidden = !isLive && !wasLive && asked > this.transcript.turns.length / 2;
    this.style.textContent = this.model.get("_markdown_css");
    if (this.root.hidden) return;
    this.style.textContent += `${copy}, .jp-OutputArea-child:has(> * > ${copy}) { display: none; }`;
  }

  showTraits() {
    const title = this.model.get("title");
    this.name.textContent = title;
    this.root.ariaLabel = `Chat with ${title}`;
    this.sum.textContent = this.model.get("_sum");
    this.input.placeholder = this.model.get("placeholder");
    this.log.style.maxHeight = `${this.model.get("height")}px`;
    if (!this.transcript.turns.length) this.drawFrom(0);
  }

  // --- Asking ---

  /** Whether a question can be asked. */
  get isFree() {
    return !this.pending && !this.transcript.busy && this.connection.isLive;
  }

  /** @param {{type: string}} message */
  post(message) {
    this.connection.post(this.model, message);
  }

  /** @param {string} text */
  say(text) {
    this.note.textContent = text;
  }

  /**
   * Send a question.
   * @param {string} text
   * @param {number} [at] The id of the question beside which it begins a branch.
   */
  ask(text, at) {
    if (!this.isFree) return;
    const request = crypto.getRandomValues(new Uint32Array(2)).join("-");
    const timer = setTimeout(() => {
      this.pending.isLate = true;
      this.say("The kernel is busy: it takes the question as soon as it is free.");
      this.refresh();
    }, PATIENCE);
    this.pending = { text, request, timer, isLate: false };
    this.say("");
    this.post({ type: "ask", text, at, request });
    this.refresh();
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
    this.follower.toEnd();
  }

  halt() {
    this.post({ type: "stop" });
    setTimeout(() => {
      if (this.transcript.busy && this.connection.isLive) this.say(STOPPING);
    }, PATIENCE);
  }

  /** @param {import("./transcript.js").Question | undefined} question */
  edit(question) {
    if (!question || !this.isFree) return;
    if (this.edited === undefined) this.draft = this.input.value;
    this.edited = question.id;
    this.input.value = question.text;
    this.say("Sending begins a new branch here. The old one stays.");
    this.refresh();
    this.input.focus();
  }

  /** Cancel the question that the kernel has not taken yet, or the editing. The input keeps its text. */
  leave() {
    this.left = this.pending;
    if (this.pending) this.settle(false, "The kernel may still take the question when it is free.");
    else this.leaveEdit();
    this.refresh();
  }

  leaveEdit() {
    if (this.edited === undefined || this.pending) return;
    this.edited = undefined;
    this.input.value = this.draft;
    this.say("");
    this.refresh();
  }

  /**
   * Return the position of a question, -1 if it is not shown.
   * @param {number | undefined} id
   */
  position(id) {
    return this.transcript.turns.findIndex((turn) => turn.id !== undefined && turn.id === id);
  }

  // --- Clearing and exporting ---

  /**
   * Clear the conversation at the second click, unless both clicks are one double click.
   * @param {MouseEvent} event
   */
  forget({ detail }) {
    if (detail > 1) return;
    const isSure = this.clear.textContent !== "Clear";
    if (isSure) this.post({ type: "clear" });
    else setTimeout(() => this.askWhetherSure(false), SURE);
    this.askWhetherSure(!isSure);
  }

  /** @param {boolean} isAsking */
  askWhetherSure(isAsking) {
    this.clear.textContent = isAsking ? "Clear everything?" : "Clear";
  }

  /** @param {"markdown" | "cell"} kind */
  requestExport(kind) {
    this.exporting = kind;
    this.menu.open = false;
    this.say("");
    this.post({ type: "export" });
  }

  /** @param {{markdown: string, cell: string}} content */
  receiveExport(content) {
    const kind = this.exporting;
    this.exporting = "";
    if (kind === "markdown") download(content.markdown, this.model.get("title"));
    if (kind !== "cell") return;
    if (copyText(this.root, content.cell)) this.say("Copied: paste it into an empty cell.");
    else this.say(`The browser did not allow copying. The cell is:\n${content.cell}`);
  }

  // --- Drawing ---

  /**
   * Draw the conversation from a turn on.
   * @param {number} first
   */
  drawFrom(first) {
    this.log.querySelector(".runagent-empty")?.remove();
    while (this.log.childElementCount > first) this.log.lastElementChild.remove();
    this.answers.length = first;
    const { turns } = this.transcript;
    this.log.append(...turns.slice(first).map((turn) => this.drawTurn(turn)));
    if (!turns.length) this.log.append(this.drawEmpty());
  }

  /** @param {import("./transcript.js").Question | import("./transcript.js").Answer} turn */
  drawTurn(turn) {
    const { turns } = this.transcript;
    if (turn.role === "agent") {
      const { id, text } = turns[this.answers.length - 1];
      const rate = (value) => this.post({ type: "feedback", at: id, value });
      const view = new AnswerView(turn, rate);
      const copy = button("Copy", () => {
        this.say(view.copy() ? "Copied." : "The browser did not allow copying.");
      });
      view.actions.prepend(copy);
      view.actions.append(button("Retry", () => this.ask(text, id), "button needy"));
      this.answers.push(view);
      return view.node;
    }
    this.answers.push(null);
    return questionNode(turn, () => this.edit(turn), (id) => {
      this.follower.isAtEnd = false;
      this.post({ type: "branch", at: id });
    });
  }

  drawEmpty() {
    const node = make("div", "empty", make("p", "hint", HELP));
    for (const text of this.model.get("suggestions")) {
      node.append(button(text, () => {
        this.input.value ||= text;
        this.ask(text);
      }));
    }
    return node;
  }

  /** Show the actions that are possible now. */
  refresh() {
    const { isFree } = this;
    const { isLive } = this.connection;
    const isBusy = isLive && !isFree;
    const isEditing = this.edited !== undefined;
    const edited = this.log.children[this.position(this.edited)];
    this.log.querySelector(".runagent-edited")?.classList.remove("runagent-edited");
    edited?.classList.add("runagent-edited");
    this.root.classList.toggle("runagent-is-busy", !isFree);
    this.root.classList.toggle("runagent-is-gone", !isLive);
    this.input.readOnly = !!this.pending;
    this.cancel.hidden = !this.pending?.isLate && (!isEditing || isBusy);
    this.send.hidden = isBusy;
    this.stop.hidden = !this.transcript.busy;
    for (const needy of [this.clear, this.save, this.cell, this.send]) needy.disabled = !isLive;
    this.fitInput();
  }

  fitInput() {
    const { input } = this;
    input.style.height = "auto";
    if (input.scrollHeight) input.style.height = `${Math.min(input.scrollHeight + 2, TALLEST)}px`;
  }

  // --- Messages from the kernel ---

  /**
   * Show a message that the transcript has taken.
   * @param {string} type
   * @param {any} content
   */
  receive(type, content) {
    if (type === "delta" && !content.ending) {
      this.show(type, content);
      return;
    }
    const { focused } = this;
    const hadFocus = this.root.contains(focused);
    const index = [...this.log.children].findIndex((node) => node.contains(focused));
    this.show(type, content);
    if (index >= 0 && !focused.isConnected) {
      // The same action of the turn that took the place of the old one.
      this.log.children[index]?.querySelector(`[aria-label="${focused.ariaLabel}"]`)?.focus();
    }
    this.refocus(hadFocus);
  }

  /**
   * @param {string} type
   * @param {any} content
   */
  show(type, content) {
    if (type === "gone") {
      this.setLive(false);
      return;
    }
    if (type === "turns") this.showTurns(content.first);
    if (type === "delta") {
      const view = this.answers[content.turn];
      const isNews = view.node.ariaBusy === "true" && [...this.connection.views][0] === this;
      view.grow(content);
      if (isNews) this.speaker.tell(view.answer, content);
    }
    if (type === "refused" && this.pending?.request === content.request) {
      this.settle(false, content.text);
    }
    if (type === "note") this.say(content.text);
    if (type === "export" && this.exporting) this.receiveExport(content);
    if (content.ending && this.note.textContent === STOPPING) this.say("");
    if (type === "turns" || content.ending || type === "refused") this.refresh();
    this.follower.keepUp();
  }

  /** @param {number} first */
  showTurns(first) {
    this.drawFrom(first);
    if (this.edited !== undefined && !this.pending && this.position(this.edited) < 0) {
      this.edited = undefined;
      this.say("The conversation went on: your text would be sent as a new question.");
    }
    const { turns } = this.transcript;
    const isTaken = (sent) => sent && turns.some((turn) => turn.request === sent.request);
    if (isTaken(this.left)) this.pending ??= this.left;
    if (isTaken(this.pending)) this.settle(true);
  }

  /**
   * Follow the state of the kernel. Without a kernel nothing can be asked, but nothing is lost.
   * @param {boolean} isLive
   */
  setLive(isLive) {
    const { connection, transcript } = this;
    if (isLive && !connection.isLive) this.post({ type: "sync", seq: -1 });
    connection.isLive = isLive;
    if (!isLive) {
      if (this.pending) this.settle(false);
      this.say(GONE);
      const last = transcript.turns.at(-1);
      if (transcript.busy) {
        Object.assign(last, { status: "stopped", facts: "broken off: the kernel is gone" });
      }
      this.answers.at(-1)?.showEnding();
    }
    this.showOne();
    this.refresh();
  }

  // --- Focus and keys ---

  /** The element that has the focus, also where the chat is in a shadow root. */
  get focused() {
    return this.root.getRootNode().activeElement;
  }

  /**
   * Move the focus to the input, if the element that had it is gone or hidden.
   * @param {boolean} hadFocus Whether the view had the focus before.
   */
  refocus(hadFocus) {
    const { focused } = this;
    const isLost = this.root.contains(focused) ? !focused.getClientRects().length : hadFocus;
    if (isLost) this.input.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!isShortcut(event)) event.stopPropagation();
    // Safari sends the key code 229 with the Enter that ends a composition.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape") this.onEscape(event);
    const isUpwards = ["ArrowUp", "PageUp", "Home"].includes(event.key);
    if (event.target === this.log && isUpwards) this.follower.unfollow();
    if (event.target !== this.input) return;
    if (event.key === "ArrowUp" && !this.input.value) {
      event.preventDefault();
      this.edit(this.transcript.turns.at(-2));
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }

  /** @param {KeyboardEvent} event */
  onEscape(event) {
    if (this.menu.open) {
      this.menu.open = false;
      this.menu.firstChild.focus();
    } else if (this.transcript.busy) this.halt();
    else if (this.log.contains(event.target)) this.input.focus();
    else this.leave();
  }
}
