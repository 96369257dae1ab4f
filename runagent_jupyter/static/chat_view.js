// One view of the chat: shows the conversation, and sends the reader's questions to the kernel.
import { AnswerView } from "./answer_view.js";
import { Composer, chips } from "./composer.js";
import { button, copyText, make } from "./dom.js";
import { Follower } from "./follower.js";
import { isShortcut } from "./keys.js";

const TRAITS = "change:title change:placeholder change:height change:suggestions change:_sum change:agent";
const HELP = "Ask a question. Enter sends it, Shift+Enter begins a new line.";
const GONE = "The kernel behind this chat is gone. Run its cell again to begin a new one.";
const SURE = 4_000; // ms to confirm that the conversation is to be cleared

export class ChatView extends Composer {
  /**
   * @param {any} model
   * @param {import("./connection.js").Connection} connection
   */
  constructor(model, connection) {
    super(model, connection);
    /** @type {(AnswerView | null)[]} by turn; a question has none */
    this.answers = [];
    this.exporting = ""; // the kind of export that was asked for
    this.build();
    this.follower = new Follower(this.log, this.latest);
    this.listen();
  }

  // --- The elements ---

  build() {
    this.log = make("div", "log");
    this.latest = button("↓ Latest", () => this.follower.toEnd(), "button latest");
    this.save = button("Save as Markdown", () => this.requestExport("markdown"));
    this.cell = button("Copy as notebook cell", () => this.requestExport("cell"));
    this.sum = make("span", "hint");
    const items = make("div", "items", this.save, this.cell, this.sum);
    this.menu = make("details", "menu", make("summary", "button", "Export"), items);
    this.clear = button("Clear", (event) => this.forget(event));
    this.name = make("strong", "title");
    const head = make("header", "head", this.name, make("span", "tools", this.menu, this.clear));
    const scroller = make("div", "scroller", this.log, this.latest);
    this.root = make("section", "chat", head, scroller, this.note, this.form);
    this.style = document.createElement("style");

    this.log.role = "log";
    this.log.ariaLabel = "Conversation; Escape leads to the input";
    this.log.tabIndex = 0;
  }

  listen() {
    const { root } = this;
    root.addEventListener("click", ({ target }) => this.refocus(!target.getClientRects().length));
    root.addEventListener("pointerdown", ({ target }) => {
      if (!this.menu.contains(target)) this.menu.open = false;
    });
    root.ondragover = root.ondrop = (event) => this.onDrag(event);
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
   * Hide the saved copy, which is for readers who open the notebook without a kernel. Without one,
   * the view that was saved may know less than the copy; then it hides itself.
   */
  showOne() {
    const copy = `.runagent-${this.model.get("_copy")}`;
    const asked = document.querySelector(copy)?.querySelectorAll(".runagent-question").length;
    this.root.hidden = !this.connection.isLive && asked > this.transcript.turns.length / 2;
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
    const { picker } = this;
    picker.replaceChildren(...this.model.get("_labels").map((label) => new Option(label)));
    picker.value = this.model.get("agent");
    picker.hidden = picker.length < 2;
    this.log.style.maxHeight = `${this.model.get("height")}px`;
    if (!this.transcript.turns.length) this.drawFrom(0);
  }

  // --- Asking ---

  lastQuestion() {
    return this.transcript.turns.findLastIndex((turn) => turn.role === "user");
  }

  retry() {
    const index = this.lastQuestion();
    this.ask(this.transcript.turns[index].text, index, this.itemsOf(index));
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
    if (kind === "markdown") this.download(content.markdown);
    if (kind !== "cell") return;
    if (copyText(this.root, content.cell)) this.say("Copied: paste it into an empty cell.");
    else this.say(`The browser did not allow copying. The cell is:\n${content.cell}`);
  }

  /** @param {string} text */
  download(text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
    link.download = `${this.model.get("title").replace(/[^\p{L}\p{N}-]+/gu, "-") || "chat"}.md`;
    link.click();
    URL.revokeObjectURL(link.href);
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
    if (turn.role === "agent") {
      const index = this.answers.length;
      const rate = (value) => this.post({ type: "feedback", turn: index, value });
      const view = new AnswerView(turn, rate, this.inserter);
      const copy = button("Copy", () => {
        this.say(view.copy() ? "Copied." : "The browser did not allow copying.");
      });
      view.actions.prepend(copy);
      view.actions.append(button("Retry", () => this.retry(), "button last"));
      this.answers.push(view);
      return view.node;
    }
    const question = make("div", "question", turn.text);
    question.dir = "auto";
    if (turn.attached) question.append(chips(...turn.attached));
    this.answers.push(null);
    const edit = button("Edit", () => this.edit(this.lastQuestion()), "button last");
    const node = make("article", "turn user", question, edit);
    node.ariaLabel = "You";
    return node;
  }

  /** What puts code into a new cell below; only JupyterLab and Notebook 7 let widgets do so. */
  get inserter() {
    const notebook = this.model.widget_manager?.context?.model?.sharedModel;
    return notebook?.insertCell && ((source) => {
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
    this.root.classList.toggle("runagent-is-busy", !this.isFree);
    this.root.classList.toggle("runagent-is-editing", this.edited !== undefined);
    this.root.classList.toggle("runagent-is-gone", !isLive);
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
    if (type === "delta" && !content.ending) {
      this.show(type, content);
      return;
    }
    const hadFocus = this.root.contains(document.activeElement);
    this.show(type, content);
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
    if (type === "delta") this.answers[content.turn].grow(content);
    if (type === "refused" && this.pending?.request === content.request) {
      this.settle(false, content.text);
    }
    if (type === "names") this.receiveNames(content);
    if (type === "note") this.say(content.text);
    if (type === "export" && this.exporting) this.receiveExport(content);
    if (content.ending) this.onEnding();
    if (type === "turns" || content.ending || type === "refused") this.refresh();
    this.follower.keepUp();
  }

  /** @param {number} first */
  showTurns(first) {
    this.drawFrom(first);
    if (this.edited !== undefined && !this.pending && this.edited !== this.lastQuestion()) {
      this.edited = undefined;
      this.say("The conversation went on: your text would be sent as a new question.");
    }
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

  /**
   * Move the focus to the input, if the element that had it is gone or hidden.
   * @param {boolean} hadFocus Whether the view had the focus before.
   */
  refocus(hadFocus) {
    const focused = document.activeElement;
    const isLost = this.root.contains(focused) ? !focused.getClientRects().length : hadFocus;
    if (isLost) this.input.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!isShortcut(event)) event.stopPropagation();
    // Safari sends the key code 229 with the Enter that ends a composition.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Escape" && !this.options.firstChild) this.onEscape(event);
    const isUpwards = ["ArrowUp", "PageUp", "Home"].includes(event.key);
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
