// The page asks the kernel for what it may have missed until the kernel has answered.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { deflateSync } from "node:zlib";

const script = (name) => readFile(new URL(`../../runagent_jupyter/static/${name}`, import.meta.url), "utf8");
const moduleOf = (source) => `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
const transcript = moduleOf(await script("transcript.js"));
const source = (await script("connection.js")).replace("./transcript.js", transcript);
const { Connection } = await import(moduleOf(source));

/** A kernel that notes what a page asks, and answers when told. */
class Kernel {
  asked = [];
  get() {}
  set() {}
  on(event, listen) { if (event === "msg:custom") this.listen = listen; else this.change = listen; }
  off() {}
  send(message) { this.asked.push(message); }
  tell(type, seq, content = {}) {
    this.listen({ type, seq }, [new DataView(Uint8Array.from(deflateSync(JSON.stringify(content))).buffer)]);
  }
}

async function opened(t) {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const kernel = new Kernel();
  const connection = new Connection();
  const close = await connection.open(kernel);
  return { kernel, connection, close };
}

test("a lost answer is asked for again, after ever longer waits", async (t) => {
  const { kernel, close } = await opened(t);
  assert.deepEqual(kernel.asked, [{ type: "sync", seq: 0 }]);
  t.mock.timers.tick(2_500);
  assert.equal(kernel.asked.length, 2);
  t.mock.timers.tick(2_500);
  assert.equal(kernel.asked.length, 2);
  t.mock.timers.tick(2_500);
  assert.equal(kernel.asked.length, 3);
  t.mock.timers.tick(3_600_000);
  assert.ok(kernel.asked.length < 70);
  close();
});

test("a page that has all asks no more", async (t) => {
  const { kernel, connection, close } = await opened(t);
  kernel.tell("current", 0);
  await connection.order;
  t.mock.timers.tick(3_600_000);
  assert.equal(kernel.asked.length, 1);
  close();
});

test("a page that hears of an answer and gets no message of it asks", async (t) => {
  const { kernel, connection, close } = await opened(t);
  kernel.tell("current", 0);
  await connection.order;
  kernel.change();
  t.mock.timers.tick(2_500);
  assert.equal(kernel.asked.length, 2);
  close();
});

test("the whole conversation is an answer too", async (t) => {
  const { kernel, connection, close } = await opened(t);
  kernel.tell("turns", 7, { first: 0, turns: [{ role: "user", text: "Hello" }] });
  await connection.order;
  t.mock.timers.tick(3_600_000);
  assert.equal(kernel.asked.length, 1);
  assert.equal(connection.transcript.turns.length, 1);
  close();
});

test("an answer about an older state leaves the question open", async (t) => {
  const { kernel, connection, close } = await opened(t);
  kernel.tell("current", 5);
  await connection.order;
  t.mock.timers.tick(2_500);
  assert.equal(kernel.asked.length, 2);
  close();
});

test("a message that the browser never reads does not stop the next ones", async (t) => {
  t.mock.method(console, "error", () => {});
  const { DecompressionStream } = globalThis;
  const { kernel, connection, close } = await opened(t);
  t.mock.timers.reset();
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.DecompressionStream = class {
    writable = new WritableStream();
    readable = new ReadableStream();
  };
  kernel.tell("turns", 1, { first: 0, turns: [] });
  globalThis.DecompressionStream = DecompressionStream;
  t.mock.timers.tick(6_000);
  kernel.tell("turns", 2, { first: 0, turns: [{ role: "user", text: "Hello" }] });
  await connection.order;
  assert.equal(connection.transcript.seq, 2);
  close();
});
