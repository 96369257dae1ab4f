// The conversation as the page knows it, kept up to date by the kernel's numbered messages.

/**
 * A step of the agent: its title as text, its details as HTML.
 * @typedef {{title: string, html: string}} Step
 */

/**
 * A question. `request` is the name that the asking page gave it. `branches` has its own `id` and
 * those of the questions that were asked in its place. `attached` has the label of each thing that
 * went along: of as many `files`, and of variables behind them.
 * @typedef {{role: "user", text: string, request: string, id: number, branches: number[],
 *   attached?: string[], files?: number}} Question
 */

/**
 * An answer: the HTML of its finished blocks and of its unfinished tail, and the seconds `since`
 * its beginning; the label of its agent, if there are several.
 * @typedef {{role: "agent", blocks: string[], tail: string, steps: Step[], since: number,
 *   status: string, error: string, facts: string, feedback: string, agent?: string}} Answer
 */

/**
 * The news of an answer. The first part continues the first `keep` characters of the tail. All
 * parts but the last are then finished blocks, and the last one is the new tail. `revised` has the
 * new HTML of earlier blocks, by position.
 * @typedef {{turn: number, keep: number, parts: string[], steps_from: number, steps: Step[],
 *   revised?: Record<string, string>, ending?: Partial<Answer>}} Delta
 */

/** The conversation: the result of all messages in their order. */
export class Transcript {
  /** @type {(Question | Answer)[]} */
  turns = [];
  seq = 0;

  /** Whether an answer is on its way. */
  get busy() {
    return this.turns.at(-1)?.status === "streaming";
  }

  /**
   * Take a message, if it is the next one or contains the whole conversation.
   * @param {string} type
   * @param {number} seq
   * @param {any} content
   * @returns {"taken" | "old" | "gap"}
   */
  take(type, seq, content) {
    const isWhole = type === "turns" && !content.first;
    if (seq <= this.seq && !(isWhole && seq === this.seq)) return "old";
    if (seq !== this.seq + 1 && !isWhole) return "gap";
    this.seq = seq;
    if (type === "turns") this.turns.splice(content.first, Infinity, ...content.turns);
    if (type === "delta") apply(content, this.turns[content.turn]);
    for (const delta of content.news ?? []) apply(delta, this.turns[delta.turn]);
    return "taken";
  }
}

/**
 * @param {Delta} delta
 * @param {Answer} answer
 */
function apply(delta, answer) {
  const [first, ...rest] = delta.parts;
  const parts = [answer.tail.slice(0, delta.keep) + first, ...rest];
  answer.tail = parts.pop();
  answer.blocks.push(...parts);
  answer.steps.splice(delta.steps_from, Infinity, ...delta.steps);
  for (const [position, html] of Object.entries(delta.revised ?? {})) answer.blocks[position] = html;
  Object.assign(answer, delta.ending);
}
