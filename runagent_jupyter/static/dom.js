// Elements: makes them, compares them, and copies their text.

/**
 * Make an element.
 * @param {string} tag
 * @param {string} names Its classes, without the prefix `runagent-`.
 * @param {...(string | Node)} children
 * @returns {any}
 */
export function make(tag, names = "", ...children) {
  const node = document.createElement(tag);
  node.className = names.replace(/\S+/g, "runagent-$&");
  node.append(...children);
  return node;
}

/**
 * Make a button.
 * @param {string} text
 * @param {(event: MouseEvent) => void} action
 * @param {string} names Its classes, without the prefix `runagent-`.
 * @returns {HTMLButtonElement}
 */
export function button(text, action, names = "button") {
  const node = make("button", names, text);
  node.type = "button";
  node.onclick = action;
  return node;
}

/**
 * Make a row of chips.
 * @param {...(string | (string | Node)[])} labels
 */
export function chips(...labels) {
  return make("div", "chips", ...labels.map((label) => make("bdi", "chip", ...[label].flat())));
}

/**
 * Parse HTML. All of it comes from the kernel's Markdown renderer.
 * @param {string} html
 * @returns {DocumentFragment}
 */
export function parsed(html) {
  const template = make("template");
  template.innerHTML = html;
  return template.content;
}

/**
 * Give a node the children of another one, but keep the children that are the same already. So the
 * reader's selection and unfolded elements stay.
 * @param {Node} into
 * @param {Node} from
 */
export function morph(into, from) {
  let old = into.firstChild;
  for (const node of [...from.childNodes]) {
    const next = old?.nextSibling ?? null;
    if (!old) into.append(node);
    else if (old instanceof Text && node instanceof Text) {
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

/**
 * Copy a selection. This works without HTTPS too, where there is no clipboard API.
 * @param {(selection: Selection) => void} select Selects the content.
 * @returns {boolean} Whether the browser has copied it.
 */
export function copySelected(select) {
  const selection = getSelection();
  const ranges = Array.from({ length: selection.rangeCount }, (_, i) => selection.getRangeAt(i));
  const focused = document.activeElement;
  select(selection);
  const copied = document.execCommand("copy");
  selection.removeAllRanges();
  for (const range of ranges) selection.addRange(range);
  focused?.focus({ preventScroll: true });
  return copied;
}

/**
 * Copy text of any length. Only a selection can be copied, and that of a long text takes seconds.
 * @param {HTMLElement} near An element of the page that may get a hidden child for a moment.
 * @param {string} text
 * @returns {boolean} Whether the browser has copied it.
 */
export function copyText(near, text) {
  let copied = false;
  const area = make("textarea");
  area.value = ".";
  const copy = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
    event.stopImmediatePropagation();
    copied = true;
  };
  addEventListener("copy", copy, true);
  copySelected(() => {
    near.append(area);
    area.select();
  });
  removeEventListener("copy", copy, true);
  area.remove();
  return copied;
}

/**
 * Have the browser save Markdown as a file.
 * @param {string} text
 * @param {string} title The name of the file, where it has letters and digits.
 */
export function download(text, title) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  link.download = `${title.replace(/[^\p{L}\p{N}-]+/gu, "-") || "chat"}.md`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Read the text of a block of code, including the blocks that continue it.
 * @param {HTMLElement} body The answer.
 * @param {HTMLElement} block
 * @returns {string}
 */
export function codeOf(body, block) {
  let text = "";
  const all = [...body.querySelectorAll(".ra-code")];
  for (const part of all.slice(all.indexOf(block))) {
    if (part !== block && !part.matches(".ra-continued")) break;
    text += part.querySelector("code").textContent;
  }
  return text;
}

/**
 * Write a table as spreadsheets take it: with tabs between cells.
 * @param {HTMLTableElement} table
 * @returns {string}
 */
export function tableText({ rows }) {
  const words = ({ textContent }) => textContent.replace(/\s+/g, " ");
  return [...rows].map(({ cells }) => [...cells].map(words).join("\t")).join("\n");
}
