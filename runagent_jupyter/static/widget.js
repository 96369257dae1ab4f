// The chat's page side: shows what the kernel has rendered, and sends what the reader does.

/**
 * @typedef {{title: string, html: string}} Step
 * @typedef {{role: "user", text: string, request: string}} Question
 * @typedef {{role: "agent", blocks: string[], tail: string, steps: Step[], since: number,
 *   status: string, error: string, facts: string}} Answer
 * @typedef {{keep: number, parts: string[], steps_from: number, steps: Step[],
 *   revised?: Record<string, string>, ending?: object}} Delta
 */

/** The conversation as the page knows it: all messages, in order, applied to it. */
export class Transcript {
  constructor() {
    /** @type {(Question | Answer)[]} */
    this.turns = [];
    this.seq = 0;
  }

  get busy() {
    return this.turns.at(-1)?.status === "streaming";
  }

  /**
   * Take a message, if it is the next one, or tells all there is.
   * @param {string} type @param {number} seq @param {any} content
   * @returns {"taken" | "old" | "gap"}
   */
  take(type, seq, content) {
    const isWhole = type === "turns" && content.first === 0;
    if (seq <= this.seq && !(isWhole && seq === this.seq)) return "old";
    if (seq !== this.seq + 1 && !isWhole) return "gap";
    this.seq = seq;
    if (type === "turns") this.turns.splice(content.first, Infinity, ...content.turns);
    if (type === "delta") grow(this.turns[content.turn], content);
    return "taken";
  }
}

/** @param {Answer} answer @param {Delta} delta */
function grow(answer, delta) {
  const [first, ...rest] = delta.parts;
  const parts = [answer.tail.slice(0, delta.keep) + first, ...rest];
  answer.tail = parts.pop();
  answer.blocks.push(...parts);
  answer.steps.splice(delta.steps_from, Infinity, ...delta.steps);
  for (const [position, html] of Object.entries(delta.revised ?? {})) answer.blocks[position] = html;
  Object.assign(answer, delta.ending);
}

/** @param {DataView} buffer */
function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/**
 * An element with classes of our own.
 * @param {string} tag @param {string} names @param {...(string | Node)} children
 */
function make(tag, names, ...children) {
  const node = document.createElement(tag);
  node.className = names.split(" ").map((name) => `runagent-${name}`).join(" ");
  node.append(...children);
  return node;
}

/** @param {string} text @param {(event: MouseEvent) => void} action */
function button(text, action, names = "button") {
  const node = make("button", names, text);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

/** HTML comes from the kernel's Markdown renderer and from nowhere else. @param {string} html */
function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/**
 * Make the children of a node those of another one, and leave alone what is the same already: what
 * the reader has selected or unfolded stays so.
 * @param {Node} into @param {Node} from
 */
function morph(into, from) {
  let old = into.firstChild;
  for (const node of [...from.childNodes]) {
    const next = old?.nextSibling ?? null;
    if (!old) into.append(node);
    else if (old.nodeType === Node.TEXT_NODE && node.nodeType === Node.TEXT_NODE) {
      if (node.data.startsWith(old.data)) old.appendData(node.data.slice(old.length));
      else old.data = node.data;
    } else if (old.cloneNode(false).isEqualNode(node.cloneNode(false))) morph(old, node);
    else old.replaceWith(node);
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

/** Copy what is selected: that works without HTTPS too, where there is no clipboard API. */
function copySelected(select) {
  const selection = getSelection();
  const ranges = Array.from({ length: selection.rangeCount }, (_, i) => selection.getRangeAt(i));
  const focused = document.activeElement;
  const remove = select(selection);
  const copied = document.execCommand("copy");
  remove?.();
  selection.removeAllRanges();
  for (const range of ranges) selection.addRange(range);
  focused?.focus({ preventScroll: true });
  return copied;
}

/** @param {HTMLElement} near @param {string} text */
function copyText(near, text) {
  return copySelected(() => {
    const area = make("textarea", "offscreen");
    area.value = text;
    near.append(area);
    area.select();
    return () => area.remove();
  });
}

/** @param {HTMLElement} block */
function codeOf(block) {
  let text = "";
  for (let part = block; part; part = part.nextElementSibling) {
    if (part !== block && !part.matches(".runagent-continued")) break;
    text += part.querySelector("code").textContent;
  }
  return text;
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

/** An answer on the page. */
class AnswerView {
  /** @param {Answer} answer */
  constructor(answer) {
    this.steps = make("div", "step-list markdown");
    this.summary = make("summary", "summary");
    this.fold = make("details", "steps", this.summary, this.steps);
    this.tail = make("div", "tail");
    this.body = make("div", "markdown", this.tail);
    this.failure = make("div", "failure");
    this.state = make("span", "state");
    this.actions = make("span", "actions");
    const foot = make("div", "foot", this.state, this.actions);
    this.node = make("article", "turn agent", this.fold, this.body, this.failure, foot);
    this.node.ariaLabel = "Agent";
    this.answer = answer;
    this.began = Date.now() - (answer.since ?? 0) * 1000;
    this.redraw();
  }

  redraw() {
    this.body.replaceChildren(this.tail);
    this.tail.before(...this.answer.blocks.map(parsed));
    this.tail.replaceChildren(parsed(this.answer.tail));
    this.addCopyButtons();
    this.steps.replaceChildren();
    this.showSteps(0);
    this.showEnding();
    this.showDirection();
  }

  /** @param {Delta} delta */
  grow(delta) {
    const { blocks, tail } = this.answer;
    if (Object.keys(delta.revised ?? {}).length) {
      this.redraw();
      return;
    }
    // To move nodes takes the selection off them. Asked for now, it costs no layout.
    const selection = getSelection();
    const { anchorNode, anchorOffset, focusNode, focusOffset } = selection;
    const isSelected = this.tail.contains(anchorNode) || this.tail.contains(focusNode);
    for (const html of blocks.slice(blocks.length - delta.parts.length + 1)) {
      morph(this.tail, parsed(html));
      this.tail.before(...this.tail.childNodes);
    }
    if (isSelected && delta.parts.length > 1) {
      selection.setBaseAndExtent(anchorNode, anchorOffset, focusNode, focusOffset);
    }
    morph(this.tail, parsed(tail));
    this.showDirection();
    if (delta.parts.length > 1) this.addCopyButtons();
    this.showSteps(delta.steps_from);
    if (delta.ending) this.showEnding();
    else this.tick();
  }

  /** @param {number} from */
  showSteps(from) {
    const { steps } = this.answer;
    steps.slice(from).forEach((step, index) => {
      const node = make("details", "step", make("summary", "summary", step.title), parsed(step.html));
      if (!step.html) node.classList.add("runagent-plain-step");
      const old = this.steps.children[from + index];
      if (old) morph(old, node);
      else this.steps.append(node);
    });
    while (this.steps.childElementCount > steps.length) this.steps.lastElementChild.remove();
    this.fold.hidden = !steps.length;
    const count = `${steps.length} step${steps.length === 1 ? "" : "s"}`;
    this.summary.textContent = steps.length ? `${count} · ${steps.at(-1).title}` : "";
  }

  /** An answer runs as its first word does. To ask the browser would have it lay out what is out of sight. */
  showDirection() {
    if (this.node.dir) return;
    const [letter] = this.body.querySelector("[dir]")?.textContent.match(/\p{L}/u) ?? [];
    if (letter) this.node.dir = RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
  }

  showEnding() {
    const { status, error, facts } = this.answer;
    this.node.ariaBusy = status === "streaming";
    this.failure.textContent = error;
    this.failure.hidden = !error;
    this.state.textContent = facts;
    this.state.className = `runagent-state runagent-is-${status}`;
    this.actions.hidden = status === "streaming";
    this.tick();
  }

  /** Say that an answer is still on its way, and for how long. */
  tick() {
    if (this.answer.status !== "streaming") return;
    const seconds = Math.round((Date.now() - this.began) / 1000);
    const { blocks, tail, steps } = this.answer;
    const what = blocks.length || tail || steps.length ? "Answering" : "Waiting for the agent";
    this.state.textContent = `${what}… ${seconds} s`;
  }

  addCopyButtons() {
    for (const head of this.body.querySelectorAll(".runagent-code-head:not(:has(button))")) {
      if (this.tail.contains(head)) continue;
      const copy = button("", () => {
        copy.dataset.copied = copyText(head, codeOf(head.parentElement));
      }, "copy live");
      copy.title = copy.ariaLabel = "Copy code";
      head.append(copy);
    }
  }

  /** Copy the answer with its formatting. */
  copy() {
    return copySelected((selection) => selection.selectAllChildren(this.body));
  }
}

const TRAITS = "change:title change:placeholder change:height change:suggestions";
const STOPPING = "The kernel is busy: the answer stops as soon as it is free.";
const SILENCE = 2_000; // ms without news of an answer, after which the page asks whether it missed any
const PATIENCE = 1_000; // ms for the kernel to take what the page has sent

export default () => {
  const transcript = new Transcript();
  /** @type {Set<(type: string, content: any) => void>} */
  const views = new Set();
  let heard = 0;
  let isLive = true;
  let order = Promise.resolve();

  /** Send a message, if there is still a kernel to send it to. */
  const post = (model, message) => {
    try {
      model.send(message);
    } catch {
      for (const view of views) view("gone", {});
    }
  };

  async function initialize({ model }) {
    const sync = () => {
      heard = Date.now();
      post(model, { type: "sync", seq: transcript.seq });
    };

    const take = (type, seq, content) => {
      const outcome = transcript.take(type, seq, content);
      if (outcome === "old") return;
      if (outcome === "gap") {
        if (Date.now() - heard > PATIENCE) sync();
        return;
      }
      heard = Date.now();
      // For a notebook that is saved with the state of its widgets.
      if (!transcript.busy) model.set("_snapshot", { first: 0, seq, turns: transcript.turns });
      for (const view of views) view(type, content);
    };

    const listen = ({ type, seq }, buffers) => {
      const content = inflate(buffers[0]);
      order = order.then(async () => take(type, seq, await content)).catch(console.error);
    };

    // A server drops messages of a kernel that sends too many; the last one might be among them.
    const watch = setInterval(() => {
      if (isLive && transcript.busy && Date.now() - heard > SILENCE) sync();
    }, SILENCE / 4);
    model.on("msg:custom", listen);
    // Deflated from a kernel, as it is from a notebook saved with the state of its widgets.
    const saved = model.get("_snapshot");
    if (saved?.deflated) order = inflate(saved.deflated);
    else if (saved?.turns) order = Promise.resolve(saved);
    order = order.then((whole) => whole && transcript.take("turns", whole.seq, whole));
    await order.catch(console.error);
    return () => {
      clearInterval(watch);
      model.off("msg:custom", listen);
    };
  }

  function render({ model, el }) {
    const log = make("div", "log");
    const latest = button("↓ Latest", () => toEnd(), "button latest");
    const note = make("div", "note");
    const input = make("textarea", "input");
    const send = button("Send", () => submit(), "button primary");
    const stop = button("Stop", () => halt());
    const cancel = button("Cancel", () => leave());
    const form = make("form", "form", input, cancel, send, stop);
    const save = button("Save as Markdown", () => request("markdown"));
    const cell = button("Copy as notebook cell", () => request("cell"));
    const menu = make("details", "menu", make("summary", "button", "Export"), make("div", "items", save, cell));
    const clear = button("Clear", (event) => forget(event));
    const name = make("strong", "title");
    const head = make("header", "head", name, make("span", "tools", menu, clear));
    const style = document.createElement("style");
    // The copy below the chat is for those who open the notebook without a kernel.
    const copy = `.runagent-${model.get("_copy")}`;
    style.textContent = `${model.get("_markdown_css")}
      ${copy}, .jp-OutputArea-child:has(> * > ${copy}) { display: none; }`;
    const root = make("section", "chat", head, make("div", "scroller", log, latest), note, form);
    el.append(style, root);

    root.dataset.lmSuppressShortcuts = "true"; // the notebook's shortcuts are not the chat's
    log.role = "log";
    log.ariaLabel = "Conversation; Escape leads to the input";
    log.tabIndex = 0;
    note.role = "status";
    input.rows = 1;
    input.dir = "auto";
    input.ariaLabel = "Question";

    /** @type {(AnswerView | null)[]} by turn */
    let answers = [];
    let isAtEnd = true;
    let seen = { scrollTop: 0, scrollHeight: 0 }; // where the reader was
    /** @type {number | undefined} the turn whose question is being edited */
    let edited;
    let draft = ""; // what stood in the input before
    /** @type {{text: string, request: string, timer: number, isLate: boolean} | undefined} not taken yet */
    let pending;
    /** @type {typeof pending} which the kernel may still take */
    let left;
    let exporting = "";

    function say(text) {
      note.textContent = text;
    }

    function ask(text, at) {
      if (pending || transcript.busy || !isLive) return;
      const name = crypto.getRandomValues(new Uint32Array(2)).join("-");
      const timer = setTimeout(() => {
        pending.isLate = true;
        say("Waiting for the kernel: it takes the question as soon as it can.");
        refresh();
      }, PATIENCE);
      pending = { text, request: name, timer, isLate: false };
      say("");
      post(model, { type: "ask", text, at, request: name });
      refresh();
    }

    function submit() {
      if (input.value.trim()) ask(input.value, edited);
    }

    /** The kernel has taken the question, or said why not. */
    function settle(isTaken, text = "") {
      const sent = pending;
      clearTimeout(sent.timer);
      pending = undefined;
      say(text);
      if (!isTaken) return;
      if (input.value === sent.text) {
        if (edited === undefined) input.value = "";
        else leaveEdit();
      }
      toEnd();
    }

    function halt() {
      post(model, { type: "stop" });
      setTimeout(() => {
        if (transcript.busy && isLive) say(STOPPING);
      }, PATIENCE);
    }

    function request(kind) {
      exporting = kind;
      menu.open = false;
      say("");
      post(model, { type: "export" });
    }

    function receive(content) {
      const kind = exporting;
      exporting = "";
      if (kind === "markdown") download(content.markdown);
      if (kind !== "cell") return;
      if (copyText(root, content.cell)) say("Copied: paste it into an empty cell.");
      else say(`The browser did not allow copying. The cell is:\n${content.cell}`);
    }

    function download(text) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
      link.download = `${model.get("title").replace(/[^\p{L}\p{N}-]+/gu, "-") || "chat"}.md`;
      link.click();
      URL.revokeObjectURL(link.href);
    }

    function lastQuestion() {
      return transcript.turns.findLastIndex((turn) => turn.role === "user");
    }

    function edit() {
      const index = lastQuestion();
      if (index < 0 || transcript.busy || pending || !isLive) return;
      if (edited === undefined) draft = input.value;
      edited = index;
      input.value = transcript.turns[index].text;
      say("Sending takes the place of the last question and its answer.");
      refresh();
      input.focus();
    }

    /** Leave what the kernel has not taken yet; what was typed stays in the input. */
    function leave() {
      left = pending;
      if (pending) settle(false, "The kernel may still take it, once it is free.");
      else leaveEdit();
      refresh();
    }

    function leaveEdit() {
      if (edited === undefined || pending) return;
      edited = undefined;
      input.value = draft;
      say("");
      refresh();
    }

    /** Clear the conversation, if that is asked for twice, and not by one double click. */
    function forget({ detail }) {
      if (detail > 1) return;
      if (clear.dataset.sure) post(model, { type: "clear" });
      else setTimeout(unsure, 4_000);
      unsure(!clear.dataset.sure);
    }

    function unsure(isSure = false) {
      clear.textContent = isSure ? "Clear everything?" : "Clear";
      if (isSure) clear.dataset.sure = "true";
      else delete clear.dataset.sure;
    }

    function retry() {
      const index = lastQuestion();
      ask(transcript.turns[index].text, index);
    }

    function grow() {
      input.style.height = "auto";
      if (input.scrollHeight) input.style.height = `${Math.min(input.scrollHeight + 2, 240)}px`;
    }

    function toEnd() {
      isAtEnd = true;
      log.scrollTop = log.scrollHeight;
      latest.hidden = true;
    }

    /** Go with the text, if its end is in sight and the reader has not gone up. */
    function follow(hasGoneUp) {
      const { scrollTop, scrollHeight, clientHeight } = log;
      if (hasGoneUp === true) isAtEnd = false;
      else if (scrollHeight - scrollTop - clientHeight < 40) isAtEnd = true;
      latest.hidden = isAtEnd || scrollHeight - clientHeight < 40;
      seen = { scrollTop, scrollHeight };
    }

    /** The reader goes up, and not with the text. */
    function unfollow() {
      if (log.scrollTop) isAtEnd = false;
    }

    /** What has the focus, or had it, may be gone now. */
    function refocus(hadFocus) {
      const focused = document.activeElement;
      const isLost = root.contains(focused) ? !focused.getClientRects().length : hadFocus;
      if (isLost) input.focus({ preventScroll: true });
    }

    function draw(turn) {
      if (turn.role === "agent") {
        const view = new AnswerView(turn);
        const copyAnswer = button("Copy", () => {
          say(view.copy() ? "Copied." : "The browser did not allow copying.");
        });
        view.actions.append(copyAnswer, button("Retry", retry, "button last"));
        answers.push(view);
        return view.node;
      }
      const question = make("div", "question", turn.text);
      question.dir = "auto";
      answers.push(null);
      const node = make("article", "turn user", question, button("Edit", edit, "button last"));
      node.ariaLabel = "You";
      return node;
    }

    function drawFrom(first) {
      log.querySelector(".runagent-empty")?.remove();
      while (log.childElementCount > first) log.lastElementChild.remove();
      answers.length = first;
      log.append(...transcript.turns.slice(first).map(draw));
      if (!transcript.turns.length) log.append(empty());
    }

    function empty() {
      const node = make("div", "empty", make("p", "hint", "Ask a question. Enter sends it, Shift+Enter begins a new line."));
      for (const text of model.get("suggestions")) {
        node.append(button(text, () => {
          input.value ||= text;
          ask(text);
        }));
      }
      return node;
    }

    /** Show what can be done now. */
    function refresh() {
      const isBusy = transcript.busy || !!pending;
      root.classList.toggle("runagent-is-busy", isBusy || !isLive);
      root.classList.toggle("runagent-is-editing", edited !== undefined);
      input.readOnly = !!pending;
      cancel.hidden = !pending?.isLate && (edited === undefined || isBusy);
      send.hidden = isBusy;
      stop.hidden = !transcript.busy;
      for (const needy of [clear, save, cell, send]) needy.disabled = !isLive;
      grow();
    }

    function view(type, content) {
      if (type === "delta" && !content.ending) {
        show(type, content);
        return;
      }
      const hadFocus = root.contains(document.activeElement);
      show(type, content);
      refocus(hadFocus);
    }

    function show(type, content) {
      if (type === "gone") {
        live(false);
        return;
      }
      if (type === "turns") {
        drawFrom(content.first);
        if (edited !== undefined && !pending && edited !== lastQuestion()) {
          edited = undefined;
          say("The conversation went on: what you were editing would be a new question.");
        }
        const isTaken = (sent) => sent && transcript.turns.some((turn) => turn.request === sent.request);
        if (isTaken(left)) pending ??= left;
        if (isTaken(pending)) settle(true);
      }
      if (type === "delta") answers[content.turn].grow(content);
      if (type === "refused" && pending?.request === content.request) settle(false, content.text);
      if (type === "export" && exporting) receive(content);
      if (content.ending && note.textContent === STOPPING) say("");
      if (type === "turns" || content.ending || type === "refused") refresh();
      if (isAtEnd) toEnd();
      else latest.hidden = log.scrollHeight - log.clientHeight < 40;
    }

    /** The kernel may be gone: then there is nothing to ask, but nothing is lost either. */
    function live(isSo) {
      if (isSo && !isLive) post(model, { type: "sync", seq: -1 });
      isLive = isSo;
      if (!isLive) {
        if (pending) settle(false);
        say("The kernel behind this chat is gone. Run its cell again to begin a new one.");
        const last = transcript.turns.at(-1);
        if (transcript.busy) {
          Object.assign(last, { status: "stopped", facts: "broken off: the kernel is gone" });
        }
        answers.at(-1)?.showEnding();
      }
      refresh();
    }

    const tick = setInterval(() => {
      if (transcript.busy && isLive) answers.at(-1)?.tick();
    }, 1_000);
    form.addEventListener("submit", (event) => event.preventDefault());
    input.addEventListener("input", grow);
    log.addEventListener("scroll", () => {
      follow(log.scrollTop < seen.scrollTop && log.scrollHeight >= seen.scrollHeight);
    });
    // Who unfolds something looks at it.
    log.addEventListener("click", ({ target }) => {
      if (target.closest("summary")) isAtEnd = false;
    });
    log.addEventListener("toggle", follow, true);
    log.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && unfollow(), { passive: true });
    // It has no size before it is in the page, or while a tab hides it.
    const resized = new ResizeObserver(() => isAtEnd && toEnd());
    resized.observe(log);
    root.addEventListener("click", ({ target }) => refocus(!target.getClientRects().length));
    root.addEventListener("pointerdown", ({ target }) => {
      if (!menu.contains(target)) menu.open = false;
    });
    root.addEventListener("focusin", (event) => {
      const isNew = !root.contains(event.relatedTarget);
      if (isLive && isNew) post(model, { type: "sync", seq: transcript.seq });
    });
    root.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.isComposing || event.keyCode === 229) return; // Safari's, of a composition's end
      if (event.key === "Escape") {
        if (menu.open) {
          menu.open = false;
          menu.firstChild.focus();
        } else if (transcript.busy) halt();
        else if (log.contains(event.target)) input.focus();
        else leave();
      }
      if (event.target === log && ["ArrowUp", "PageUp", "Home"].includes(event.key)) unfollow();
      if (event.target !== input) return;
      if (event.key === "ArrowUp" && !input.value) {
        event.preventDefault();
        edit();
      }
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        submit();
      }
    });
    // Called on the view, whose own listener for this anywidget removes.
    const listen = function () {
      live(this?.model?.comm_live !== false);
    };
    const showTraits = () => {
      name.textContent = model.get("title");
      root.setAttribute("aria-label", `Chat with ${model.get("title")}`);
      input.placeholder = model.get("placeholder");
      log.style.maxHeight = `${model.get("height")}px`;
      if (!transcript.turns.length) drawFrom(0);
    };
    model.on(TRAITS, showTraits);
    showTraits();
    model.on("comm_live_update", listen);
    views.add(view);
    drawFrom(0);
    live(!el.closest(".jupyter-widgets-disconnected"));
    toEnd();
    return () => {
      views.delete(view);
      clearInterval(tick);
      clearTimeout(pending?.timer);
      resized.disconnect();
      model.off(TRAITS, showTraits);
      model.off("comm_live_update", listen);
    };
  }

  return { initialize, render };
};
