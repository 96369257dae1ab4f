// A question on the page: its text, what went along with it, its branches and its actions.
import { button, chips, make } from "./dom.js";

/**
 * What went along with a question, without the variables, which its text names.
 * @param {import("./transcript.js").Question} question
 * @returns {import("./composer.js").Item[]}
 */
export function itemsOf({ id, attached = [], files }) {
  return attached.slice(0, files).map((label, position) => ({ label, kept: [id, position] }));
}

/**
 * Show a question.
 * @param {import("./transcript.js").Question} question
 * @param {() => void} edit
 * @param {(id: number) => void} goTo Takes the id of the question of another branch.
 * @returns {HTMLElement}
 */
export function questionNode({ text, id, branches, attached }, edit, goTo) {
  const words = make("div", "question", text);
  words.dir = "auto";
  if (attached) words.append(chips(...attached));
  const actions = make("span", "actions", button("Edit", edit, "button needy"));
  const node = make("article", "turn user", words, actions);
  node.ariaLabel = "You";
  if (branches.length < 2) return node;
  const own = branches.indexOf(id);
  const way = (sign, name, index) => {
    const arrow = button(sign, () => goTo(branches.at(index % branches.length)), "button way");
    arrow.ariaLabel = arrow.title = `${name} branch`;
    return arrow;
  };
  const place = `${own + 1}/${branches.length}`;
  const ways = [way("‹", "Previous", own - 1), place, way("›", "Next", own + 1)];
  const group = make("span", "hint", ...ways);
  group.role = "group";
  group.ariaLabel = `Branch ${place.replace("/", " of ")}`;
  actions.append(group);
  return node;
}
