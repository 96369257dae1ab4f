// The page's transcript takes what fits, ignores what it has and notices what is missing.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

const source = await readFile(new URL("../../runagent_jupyter/static/widget.js", import.meta.url));
const { Transcript } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const answer = () => ({ role: "agent", blocks: [], tail: "", steps: [], status: "streaming" });
const delta = (seq, at, ...blocks) => ({ type: "delta", seq, at: [at, 0], blocks, steps: [], tail: "t" });
const begun = () => {
  const transcript = new Transcript();
  transcript.apply({ type: "turns", seq: 1, first: 0, turns: [answer()] });
  return transcript;
};

test("deltas append", () => {
  const transcript = begun();
  assert.equal(transcript.apply(delta(2, 0, "a")), "delta");
  assert.equal(transcript.apply(delta(3, 1, "b", "c")), "delta");
  assert.deepEqual(transcript.turns[0].blocks, ["a", "b", "c"]);
});

test("a lost message is noticed, and all turns heal it", () => {
  const transcript = begun();
  assert.equal(transcript.apply(delta(3, 1, "b")), "gap");
  assert.deepEqual(transcript.turns[0].blocks, []);
  const healed = { ...answer(), blocks: ["a", "b"] };
  assert.equal(transcript.apply({ type: "turns", seq: 4, first: 0, turns: [healed] }), 0);
  assert.equal(transcript.apply(delta(5, 2, "c")), "delta");
  assert.deepEqual(transcript.turns[0].blocks, ["a", "b", "c"]);
});

test("what a snapshot already held is not repeated", () => {
  const transcript = new Transcript();
  const turns = [{ ...answer(), blocks: ["a", "b"] }];
  transcript.apply({ type: "turns", seq: 1, first: 0, turns });
  transcript.apply(delta(2, 1, "b", "c"));
  assert.deepEqual(transcript.turns[0].blocks, ["a", "b", "c"]);
});

test("old messages change nothing", () => {
  const transcript = begun();
  transcript.apply(delta(2, 0, "a"));
  assert.equal(transcript.apply(delta(2, 0, "a")), "old");
  assert.deepEqual(transcript.turns[0].blocks, ["a"]);
});
