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

/** The model of a widget, and the kernel behind it, which notes what a page asks. */
class Model {
  asked = [];
  listeners = {};
  comm = { on_msg: (handle) => (this.direct = handle) };
  get() {}
  set(name) { this.listeners[`change:${name}`]?.(this); }
  on(event, listen) { this.listeners[event] = listen; }
  off(event) { delete this.listeners[event]; }
  send(message) { this.asked.push(message); }
  tell(type, seq, content = {}) {
    const buffer = new DataView(Uint8Array.from(deflateSync(JSON.stringify(content))).buffer);
    this._handle_comm_msg({ content: { type, seq }, buffers: [buffer] });
  }
  _handle_comm_msg({ content, buffers }) { this.listeners["msg:custom"](content, buffers); }
}

/** A model that anywidget has given up on: it takes no messages. */
class DeafModel extends Model {
  _handle_comm_msg() {}
}
class AnyModel extends Model {}

async function opened(t, kernel = new AnyModel()) {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
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

test("a page whose messages anywidget drops has them come through", async (t) => {
  const { kernel, connection, close } = await opened(t, new DeafModel());
  kernel.tell("turns", 2, { first: 0, turns: [{ role: "user", text: "Hello" }] });
  await connection.order;
  assert.equal(connection.transcript.seq, 0);
  t.mock.timers.tick(2_500);
  const buffer = new DataView(Uint8Array.from(deflateSync('{"first":0,"turns":[]}')).buffer);
  kernel.direct({ content: { type: "turns", seq: 3 }, buffers: [buffer] });
  await connection.order;
  assert.equal(connection.transcript.seq, 3);
  close();
});
