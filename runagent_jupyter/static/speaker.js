// Tells screen readers an answer while it comes: a sentence or a block at a time.
import { make, parsed } from "./dom.js";

const SENTENCES = /^[^]*[.!?…。！？](?=\s)/;

export class Speaker {
  said = 0; // characters of the tail that were told
  node = Object.assign(make("div", "spoken"), { ariaLive: "polite" });

  /**
   * Tell the finished blocks and sentences of the news that an answer has taken.
   * @param {import("./transcript.js").Answer} answer
   * @param {import("./transcript.js").Delta} delta
   */
  tell({ blocks, tail }, { parts, ending }) {
    let news = "";
    for (const html of blocks.slice(blocks.length - parts.length + 1)) {
      news += `${parsed(html).textContent.slice(this.said)} `;
      this.said = 0;
    }
    const open = parsed(tail).textContent.slice(this.said);
    const [told] = ending ? [open] : open.match(SENTENCES) ?? [""];
    this.said += told.length;
    news += told;
    if (ending && ending.status !== "done") news += ` ${ending.error || ending.status}`;
    news = news.replace(/\s+/g, " ").trim();
    if (news) this.node.textContent = news;
    if (ending) this.said = 0;
  }
}
