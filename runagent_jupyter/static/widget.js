// The chat's page side: shows what the kernel rendered, and sends what the user does.

/** @typedef {{role: string, text?: string, blocks?: string[], tail?: string, steps?: string[], status?: string, error?: string}} Turn */

/**
 * The transcript as the page knows it.
 * `apply` returns the index of the first turn that changed, "delta" for one that grew, or "gap".
 */
export class Transcript {
  constructor() {
    /** @type {Turn[]} */
    this.turns = [];
    this.seq = 0;
  }

  /** @param {any} message */
  apply(message) {
    const fits = message.seq === this.seq + 1;
    if (message.type === "turns") {
      if (message.seq < this.seq) return "old";
      if (message.first > 0 && !fits) return "gap";
      this.seq = message.seq;
      this.turns = [...this.turns.slice(0, message.first), ...message.turns];
      return message.first;
    }
    if (message.seq <= this.seq) return "old";
    if (!fits) return "gap";
    if (message.type === "delta") {
      const turn = this.turns[this.turns.length - 1];
      // A snapshot may already hold the beginning of what a delta brings.
      const skip = [turn.blocks.length - message.at[0], turn.steps.length - message.at[1]];
      if (Math.min(...skip) < 0) return "gap";
      message.blocks = message.blocks.slice(skip[0]);
      message.steps = message.steps.slice(skip[1]);
    }
    this.seq = message.seq;
    if (message.type !== "delta") return message.type;
    const turn = this.turns[this.turns.length - 1];
    turn.blocks.push(...message.blocks);
    turn.steps.push(...message.steps);
    turn.tail = message.tail;
    return "delta";
  }
}

/** @param {string} tag @param {string} name @param {string} [text] */
function make(tag, name, text) {
  const node = document.createElement(tag);
  node.className = `runagent-${name}`;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** @param {string} text @param {() => void} action */
function button(text, action) {
  const node = make("button", "button", text);
  node.type = "button";
  node.addEventListener("click", action);
  return node;
}

/** HTML comes from the kernel's markdown room and from nowhere else. */
function append(parent, html) {
  parent.insertAdjacentHTML("beforeend", html);
}

const STATUS = { stopped: "Stopped", error: "Failed", streaming: "Answering…" };

export default () => {
  const transcript = new Transcript();
  const views = new Set();

  return {
    initialize({ model }) {
      const snapshot = model.get("_snapshot");
      if (snapshot && snapshot.turns) transcript.apply({ ...snapshot, type: "turns" });
      const listen = (message) => {
        const change = transcript.apply(message);
        if (change === "gap") model.send({ type: "sync" });
        else if (change !== "old") for (const view of views) view(change, message);
      };
      model.on("msg:custom", listen);
      return () => model.off("msg:custom", listen);
    },

    render({ model, el }) {
      const root = make("section", "chat");
      root.setAttribute("aria-label", `Chat with ${model.get("title")}`);
      const head = make("header", "head");
      const log = make("div", "log");
      log.setAttribute("role", "log");
      log.setAttribute("aria-live", "polite");
      log.tabIndex = 0;
      log.style.maxHeight = `${model.get("height")}px`;
      const note = make("div", "note");
      note.setAttribute("role", "status");
      const form = make("form", "form");
      const input = make("textarea", "input");
      input.rows = 1;
      input.dir = "auto";
      input.placeholder = model.get("placeholder");
      input.setAttribute("aria-label", "Question");
      const send = button("Send", () => submit());
      const stop = button("Stop", () => model.send({ type: "stop" }));
      head.append(
        make("strong", "title", model.get("title")),
        button("Export", () => model.send({ type: "export" })),
        button("Clear", () => model.send({ type: "clear" })),
      );
      form.append(input, send, stop);
      root.append(head, log, note, form);
      el.append(root);

      /** @type {number | undefined} */
      let edited;

      function ask(text, at) {
        note.textContent = "";
        model.send(at === undefined ? { type: "ask", text } : { type: "ask", text, at });
      }

      function submit() {
        const text = input.value;
        if (!text.trim() || model.get("busy")) return;
        ask(text, edited);
        edited = undefined;
        input.value = "";
        grow();
      }

      function grow() {
        input.style.height = "auto";
        input.style.height = `${Math.min(input.scrollHeight + 2, 200)}px`;
      }

      function busy() {
        send.hidden = model.get("busy");
        stop.hidden = !model.get("busy");
      }

      function copy(text) {
        navigator.clipboard.writeText(text).then(
          () => (note.textContent = "Copied"),
          () => (note.textContent = "The browser did not allow copying"),
        );
      }

      function addStep(steps, text) {
        steps.hidden = false;
        steps.append(make("pre", "step", text));
        steps.firstChild.textContent = `Steps (${steps.childElementCount - 1})`;
      }

      function draw(turn, index) {
        const node = make("article", `turn runagent-${turn.role === "user" ? "user" : "agent"}`);
        node.dir = "auto";
        if (turn.role === "user") {
          node.append(make("div", "question", turn.text));
          const edit = button("Edit", () => {
            edited = index;
            input.value = turn.text;
            input.focus();
            grow();
          });
          node.append(edit);
          return node;
        }
        const steps = make("details", "steps");
        steps.hidden = true;
        steps.append(make("summary", "summary"));
        for (const step of turn.steps) addStep(steps, step);
        const body = make("div", "markdown");
        for (const block of turn.blocks) append(body, block);
        const tail = make("div", "tail");
        append(tail, turn.tail);
        body.append(tail);
        node.append(steps, body);
        if (turn.status !== "done") node.append(make("div", `state runagent-${turn.status}`, STATUS[turn.status]));
        if (turn.error) node.append(make("div", "failure", turn.error));
        if (turn.status !== "streaming") {
          node.append(
            button("Copy", () => copy(body.innerText.trim())),
            button("Retry", () => ask(transcript.turns[index - 1].text, index - 1)),
          );
          for (const code of body.querySelectorAll("pre")) {
            code.after(button("Copy code", () => copy(code.innerText)));
          }
        }
        return node;
      }

      function view(change, message) {
        if (change === "refused") note.textContent = message.text;
        if (change === "export") download(message.text);
        const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
        if (change === "delta") {
          const last = log.lastElementChild;
          const tail = last.querySelector(".runagent-tail");
          for (const block of message.blocks) tail.insertAdjacentHTML("beforebegin", block);
          tail.replaceChildren();
          append(tail, message.tail);
          const steps = last.querySelector(".runagent-steps");
          for (const step of message.steps) addStep(steps, step);
        } else if (typeof change === "number") {
          log.querySelector(".runagent-empty")?.remove();
          while (log.childElementCount > change) log.lastElementChild.remove();
          transcript.turns.slice(change).forEach((turn, i) => log.append(draw(turn, change + i)));
          if (!transcript.turns.length) log.append(empty());
        }
        if (follows) log.scrollTop = log.scrollHeight;
      }

      function empty() {
        const node = make("div", "empty", "Ask a question below. Enter sends it, Shift+Enter begins a new line.");
        for (const text of model.get("suggestions")) node.append(button(text, () => ask(text)));
        return node;
      }

      function download(text) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
        link.download = "chat.md";
        link.click();
        URL.revokeObjectURL(link.href);
      }

      form.addEventListener("submit", (event) => event.preventDefault());
      input.addEventListener("input", grow);
      root.addEventListener("keydown", (event) => {
        event.stopPropagation(); // the notebook's shortcuts are not the chat's
        if (event.key === "Escape" && model.get("busy")) model.send({ type: "stop" });
        if (event.target === input && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
          event.preventDefault();
          submit();
        }
      });
      model.on("change:busy", busy);
      views.add(view);
      busy();
      view(0, {});
      return () => {
        views.delete(view);
        model.off("change:busy", busy);
      };
    },
  };
};
