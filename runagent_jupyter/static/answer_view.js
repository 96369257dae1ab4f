// An answer on the page: its steps, its text, its failure and its state.
import { button, codeOf, copySelected, copyText, make, morph, parsed, tableText } from "./dom.js";

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;

export class AnswerView {
  steps = make("div", "step-list markdown");
  summary = make("summary", "summary");
  fold = make("details", "steps", this.summary, this.steps);
  tail = make("div", "tail");
  body = make("div", "markdown", this.tail);
  failure = make("div", "failure");
  state = make("span", "state");

  /**
   * @param {import("./transcript.js").Answer} answer
   * @param {(value: "up" | "down" | "") => void} rate Takes what the reader thinks; "" for nothing.
   * @param {((code: string) => void) | undefined} insert Puts code into a new cell.
   */
  constructor(answer, rate, insert) {
    this.insert = insert;
    const thumb = (text, value) => {
      const node = button(text, () => rate(node.ariaPressed === "true" ? "" : value), "button thumb");
      node.value = value;
      return node;
    };
    this.thumbs = [thumb("Good", "up"), thumb("Bad", "down")];
    this.actions = make("span", "actions", ...this.thumbs);
    const foot = make("div", "foot", this.state, this.actions);
    this.node = make("article", "turn agent", this.fold, this.body, this.failure, foot);
    this.node.ariaLabel = answer.agent ?? "Agent";
    if (answer.agent) this.node.prepend(make("div", "hint", answer.agent));
    this.answer = answer;
    this.began = Date.now() - (answer.since ?? 0) * 1000;
    this.redraw();
  }

  /** Show all of the answer. */
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

  /**
   * Show the news that the answer has just taken.
   * @param {import("./transcript.js").Delta} delta
   */
  grow(delta) {
    const { blocks, tail } = this.answer;
    if (Object.keys(delta.revised ?? {}).length) {
      this.redraw();
      return;
    }
    // Moving nodes removes the selection from them. Reading it now costs no layout.
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

  /**
   * Show the steps from a position on.
   * @param {number} from
   */
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

  /**
   * Give the answer the direction of its first letter. The browser could tell it too, but only by
   * laying out content that is out of sight.
   */
  showDirection() {
    if (this.node.dir) return;
    const [letter] = this.body.querySelector("[dir]")?.textContent.match(/\p{L}/u) ?? [];
    if (letter) this.node.dir = RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
  }

  /** Show the state of the answer: on its way, done, stopped or failed. */
  showEnding() {
    const { status, error, facts, feedback } = this.answer;
    for (const thumb of this.thumbs) thumb.ariaPressed = thumb.value === feedback;
    this.actions.hidden = this.node.ariaBusy = status === "streaming";
    this.failure.textContent = error;
    this.failure.hidden = !error;
    this.state.textContent = facts;
    this.state.className = `runagent-state runagent-is-${status}`;
    this.tick();
  }

  /** Show how long the answer has been on its way. */
  tick() {
    if (this.answer.status !== "streaming") return;
    const seconds = Math.round((Date.now() - this.began) / 1000);
    const { blocks, tail, steps } = this.answer;
    const doing = blocks.length || tail || steps.length ? "Answering" : "Waiting for the agent";
    this.state.textContent = `${doing}… ${seconds} s`;
  }

  /** Add a copy button to each finished block of code and table that has none. */
  addCopyButtons() {
    const add = (name, block, text, place = block) => {
      const copy = button("", () => {
        copy.value = copyText(place, text()) ? "Copied" : "Not allowed here";
      });
      copy.className = "ra-copy";
      copy.title = copy.ariaLabel = name;
      copy.onblur = () => { copy.value = "Copy"; };
      copy.onblur();
      place.append(copy);
      block.classList.add("runagent-live");
    };
    for (const node of this.body.querySelectorAll(":is(.ra-code-head,:has(>table)):not(:has(button))")) {
      const block = node.parentElement;
      if (this.tail.contains(node)) continue;
      if (block.matches(".ra-code")) {
        const code = () => codeOf(this.body, block);
        if (this.insert) node.append(button("To a new cell", () => this.insert(code())));
        add("Copy code", block, code, node);
      } else add("Copy table", node, () => tableText(node.firstElementChild));
    }
  }

  /**
   * Copy the answer with its formatting.
   * @returns {boolean} Whether the browser has copied it.
   */
  copy() {
    return copySelected((selection) => selection.selectAllChildren(this.body));
  }
}
