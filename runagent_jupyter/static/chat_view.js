// One view of the chat: shows the conversation, and sends the reader's questions to the kernel.
import { AnswerView } from "./answer_view.js";
import { Composer } from "./composer.js";
import { button, copyText, download, make } from "./dom.js";
import { Follower } from "./follower.js";
import { isShortcut } from "./keys.js";
import { itemsOf, questionNode } from "./question_view.js";
import { Speaker } from "./speaker.js";

const TRAITS = "title placeholder height suggestions _sum agent".replace(/\w+/g, "change:$&");
const HELP = "Ask a question. Enter sends it, Shift+Enter begins a new line.";
const GONE = "The kernel behind this chat is gone. Run its cell again to begin a new one.";
const NOT_COPIED = "The browser did not allow copying.";
const SURE = 4_000; // ms to confirm that the conversation is to be cleared

export class ChatView extends Composer {
  /** @type {(AnswerView | null)[]} by turn; a question has none */
  answers = [];
  exporting = ""; // the kind of export that was asked for
  log = make("div", "log");
  latest = button("↓ Latest", () => this.follower.toEnd(), "button latest");
  save = button("Save as Markdown", () => this.requestExport("markdown"));
  cell = button("Copy as notebook cell", () => this.requestExport("cell"));
  sum = make("span", "hint");
  clear = button("Clear", (event) => this.forget(event));
  name = make("strong", "title");
  speaker = new Speaker();
  style = make("style");

  /**
   * @param {any} model
   * @param {import("./connection.js").Connection} connection
   */
  constructor(model, connection) {
    super(model, connection);
    this.build();
    this.follower = new Follower(this.log, this.latest);
    this.listen();
  }

  // --- The elements ---

  build() {
    const items = make("div", "items", this.save, this.cell, this.sum);
    this.menu = make("details", "menu", make("summary", "button", "Export"), items);
    const head = make("header", "head", this.name, make("span", "tools", this.menu, this.clear));
    const scroller = make("div", "scroller", this.log, this.latest);
    this.root = make("section", "chat", head, scroller, this.note, this.form, this.speaker.node);
    Object.assign(this.log, {
      role: "log",
      ariaLive: "off", // the speaker tells what is new
      ariaLabel: "Conversation; Escape leads to the input",
      tabIndex: 0,
    });
  }

  listen() {
    const { root } = this;
    root.onclick = ({ target }) => this.refocus(!target.getClientRects().length);
    root.onpointerdown = ({ target }) => {
      if (!this.menu.contains(target)) this.menu.open = false;
    };
    root.ondragover = root.ondrop = (event) => this.onDrag(event);
    root.addEventListener("focusin", (event) => {
      const isNew = !root.contains(event.relatedTarget);
      if (this.connection.isLive && isNew) this.connection.sync();
    });
    root.onkeydown = (event) => this.onKey(event);
    this.clock = setInterval(() => {
      if (this.transcript.busy && this.connection.isLive) this.answers.at(-1)?.tick();
    }, 1_000);
    // Notebook 7 looks at the target before the event gets to `onKey`.
    this.beforeKey = (event) => {
      const { target } = event;
      if (!root.contains(target)) return;
      target.toggleAttribute("data-lm-suppress-shortcuts", !isShortcut(event));
    };
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
    addEventListener("keydown", this.beforeKey, true);
    this.model.on(TRAITS, this.showTraits);
    this.showTraits();
    this.model.on("comm_live_update", this.onLive);
    this.connection.views.add(this);
    this.drawFrom(0);
    this.setLive(!el.closest(".jupyter-widgets-disconnected"));
    this.follower.toEnd();
  }

  /** Stop everything that the view does by itself. */
  unmount() {
    this.wait(null);
    this.connection.views.delete(this);
    removeEventListener("keydown", this.beforeKey, true);
    clearInterval(this.clock);
    clearTimeout(this.pending?.timer);
    this.follower.disconnect();
    this.model.off(TRAITS, this.showTraits);
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

  showTraits = () => {
    const { model, picker } = this;
    const title = model.get("title");
    this.name.textContent = title;
    this.root.ariaLabel = `Chat with ${title}`;
    this.sum.textContent = model.get("_sum");
    this.input.placeholder = model.get("placeholder");
    picker.replaceChildren(...model.get("_labels").map((label) => new Option(label)));
    picker.value = model.get("agent");
    picker.hidden = picker.length < 2;
    this.log.style.maxHeight = `${model.get("height")}px`;
    if (!this.transcript.turns.length) this.drawFrom(0);
  };

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
    if (this.exporting === "markdown") download(content.markdown, this.model.get("title"));
    else if (copyText(this.root, content.cell)) this.say("Copied: paste it into an empty cell.");
    else this.say(`${NOT_COPIED} The cell is:\n${content.cell}`);
    this.exporting = "";
  }

  // --- Drawing ---

  /**
   * Draw the conversation from a turn on.
   * @param {number} first
   */
  drawFrom(first) {
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
      const question = turns[this.answers.length - 1];
      const rate = (value) => this.post({ type: "feedback", at: question.id, value });
      const view = new AnswerView(turn, rate, this.inserter);
      const copy = button("Copy", () => this.say(view.copy() ? "Copied." : NOT_COPIED));
      view.actions.prepend(copy);
      const retry = () => this.ask(question.text, question.id, itemsOf(question));
      view.actions.append(button("Retry", retry, "button needy"));
      this.answers.push(view);
      return view.node;
    }
    this.answers.push(null);
    return questionNode(turn, () => this.edit(turn), (id) => {
      this.follower.isAtEnd = false;
      this.post({ type: "branch", at: id });
    });
  }

  /**
   * Puts code into a new cell below, where widgets may do so: in JupyterLab (3.6) and Notebook 7.
   * Widgets in VS Code have the model of a notebook that nobody sees.
   */
  get inserter() {
    const page = document.querySelector(".jp-Notebook");
    const notebook = page && this.model.widget_manager?.context?.model?.sharedModel;
    return notebook?.addCell && ((source) => {
      const cell = this.root.closest(".jp-Cell")?.dataset.windowedListIndex;
      const above = Number(cell ?? notebook.cells.length - 1);
      notebook.insertCell(above + 1, { cell_type: "code", source });
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
    const { isLive } = this.connection;
    this.transcript.turns.forEach(({ id }, index) => {
      this.log.children[index].classList.toggle("runagent-edited", id === this.edited);
    });
    const { classList } = this.root;
    classList.toggle("runagent-is-busy", !this.isFree);
    classList.toggle("runagent-is-gone", !isLive);
    for (const needy of [this.clear, this.save, this.cell]) needy.disabled = !isLive;
    super.refresh();
  }

  // --- Messages from the kernel ---

  /**
   * Show a message that the transcript has taken.
   * @param {string} type
   * @param {any} content
   */
  receive(type, content) {
    if (type === "delta" && !content.ending) return this.show(type, content);
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
    if (type === "gone") return this.setLive(false);
    if (type === "turns") this.showTurns(content.first);
    if (type === "delta") {
      const view = this.answers[content.turn];
      const isNews = view.node.ariaBusy === "true" && [...this.connection.views][0] === this;
      view.grow(content);
      if (isNews) this.speaker.tell(view.answer, content);
    }
    for (const delta of content.news ?? []) this.answers[delta.turn].grow(delta);
    if (type === "refused" && this.pending?.request === content.request) {
      const { text } = this.pending;
      this.settle(false, content.text);
      if (content.early && this.input.value === text) this.submit(); // another page was faster
    }
    if (type === "names") this.receiveNames(content);
    if (type === "note") this.say(content.text);
    if (type === "export" && this.exporting) this.receiveExport(content);
    if (content.ending || type === "turns") this.onEnding();
    if (type === "turns" || content.ending || type === "refused") this.refresh();
    this.follower.keepUp();
  }

  /** @param {number} first */
  showTurns(first) {
    this.drawFrom(first);
    this.loosen();
    this.checkTaken();
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
      if (transcript.busy) {
        Object.assign(transcript.turns.at(-1), { status: "stopped", facts: "broken off: the kernel is gone" });
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
    if (event.key === "Escape" && !this.options.firstChild) this.onEscape(event);
    const isUpwards = /^(ArrowUp|PageUp|Home)$/.test(event.key);
    if (event.target === this.log && isUpwards) this.follower.unfollow();
    if (event.target === this.input) this.onInputKey(event);
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
