// The page's transcript takes what fits, ignores what it has and notices what is missing.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

const source = await readFile(new URL("../../runagent_jupyter/static/transcript.js", import.meta.url));
const { Transcript } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const answer = (more) => ({ role: "agent", blocks: [], tail: "", steps: [], status: "streaming", ...more });
const delta = (keep, ...parts) => ({ turn: 0, keep, parts, steps_from: 0, steps: [] });
const begun = (more) => {
  const transcript = new Transcript();
  transcript.take("turns", 1, { first: 0, turns: [answer(more)] });
  return transcript;
};

test("the tail grows from what is kept of it", () => {
  const transcript = begun();
  transcript.take("delta", 2, delta(0, "<p>one</p>"));
  transcript.take("delta", 3, delta(6, " two</p>"));
  assert.equal(transcript.turns[0].tail, "<p>one two</p>");
  assert.deepEqual(transcript.turns[0].blocks, []);
});

test("what is kept of the tail becomes the beginning of the first finished block", () => {
  const transcript = begun({ tail: "<p>one</p>" });
  transcript.take("delta", 2, delta(6, " two</p>", "<p>three</p>", "<p>four</p>"));
  assert.deepEqual(transcript.turns[0].blocks, ["<p>one two</p>", "<p>three</p>"]);
  assert.equal(transcript.turns[0].tail, "<p>four</p>");
});

test("steps are replaced from the one that changed", () => {
  const transcript = begun({ steps: ["a", "10 %"] });
  transcript.take("delta", 2, { ...delta(0, ""), steps_from: 1, steps: ["20 %", "c"] });
  assert.deepEqual(transcript.turns[0].steps, ["a", "20 %", "c"]);
});

test("the last message says how it ended, and which blocks have got links since", () => {
  const transcript = begun({ blocks: ["a", "[b][1]", "c"] });
  assert.ok(transcript.busy);
  transcript.take("delta", 2, { ...delta(0, ""), revised: { 1: "<a>b</a>" }, ending: { status: "done" } });
  assert.deepEqual(transcript.turns[0].blocks, ["a", "<a>b</a>", "c"]);
  assert.ok(!transcript.busy);
});

test("a lost message is noticed, and all turns heal it", () => {
  const transcript = begun();
  assert.equal(transcript.take("delta", 3, delta(0, "b", "")), "gap");
  assert.deepEqual(transcript.turns[0].blocks, []);
  const healed = answer({ blocks: ["a", "b"] });
  assert.equal(transcript.take("turns", 4, { first: 0, turns: [healed] }), "taken");
  assert.equal(transcript.take("delta", 5, delta(0, "c", "")), "taken");
  assert.deepEqual(transcript.turns[0].blocks, ["a", "b", "c"]);
});

test("old messages change nothing", () => {
  const transcript = begun();
  transcript.take("delta", 2, delta(0, "a", ""));
  assert.equal(transcript.take("delta", 2, delta(0, "a", "")), "old");
  assert.equal(transcript.take("turns", 1, { first: 0, turns: [] }), "old");
  assert.deepEqual(transcript.turns[0].blocks, ["a"]);
});

test("a question may take the place of the last one", () => {
  const transcript = begun();
  assert.equal(transcript.take("turns", 2, { first: 0, turns: [{ role: "user", text: "again" }] }), "taken");
  assert.equal(transcript.take("turns", 3, { first: 1, turns: [answer()] }), "taken");
  assert.deepEqual(transcript.turns.map((turn) => turn.role), ["user", "agent"]);
});
