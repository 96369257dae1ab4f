// Which keys leave the chat for the shortcuts of its host.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

const source = await readFile(new URL("../../runagent_jupyter/static/keys.js", import.meta.url));
const { isShortcut } = await import(`data:text/javascript;base64,${source.toString("base64")}`);

const MODIFIERS = { Ctrl: "ctrlKey", Cmd: "metaKey", Alt: "altKey", Shift: "shiftKey" };

// "Ctrl+Shift+P" as the event of a keyboard whose letters are Latin.
const pressed = (keys, more) => {
  const names = keys.split("+");
  const key = names.pop();
  const held = Object.fromEntries(names.map((name) => [MODIFIERS[name], true]));
  const keyCode = key.length === 1 ? key.toUpperCase().charCodeAt(0) : 0;
  return { key, keyCode, isComposing: false, ...held, ...more };
};

for (const keys of [
  ...["Ctrl+s", "Cmd+s", "Ctrl+Shift+S", "Ctrl+Shift+P", "Cmd+Shift+P", "Ctrl+Shift+C", "Ctrl+f", "Cmd+k"],
  ...["Ctrl+b", "Ctrl+,", "Ctrl+/", "Ctrl+`", "Ctrl+1", "Ctrl+Tab", "Ctrl+PageDown", "F1", "Shift+F10", "F11"],
]) {
  test(`${keys} is the host's`, () => assert.equal(isShortcut(pressed(keys)), true));
}

for (const keys of [
  ...["a", "b", "d", "x", "m", "y", "z", "0", " ", "é", "Shift+A", "Shift+M", "Shift+Enter", "Shift+Tab"],
  ...["Enter", "Escape", "Delete", "Backspace", "Tab", "Home", "PageUp", "ArrowUp", "ArrowDown", "Dead"],
  ...["Ctrl+Enter", "Cmd+Enter", "Alt+Enter", "Ctrl+Backspace", "Ctrl+ArrowUp", "Ctrl+Shift+ArrowDown"],
  ...["Ctrl+a", "Ctrl+c", "Ctrl+v", "Ctrl+x", "Ctrl+y", "Ctrl+z", "Cmd+z", "Cmd+Shift+Z", "Ctrl+Shift+V"],
  ...["Ctrl+Shift+M", "Shift", "Control", "Meta", "Alt", "AltGraph"],
]) {
  test(`${keys} is the chat's`, () => assert.equal(!!isShortcut(pressed(keys)), false));
}

test("characters that Alt or AltGr types stay in the chat", () => {
  for (const keys of ["Alt+å", "Alt+1", "Ctrl+Alt+ą", "Ctrl+Alt+@", "€"]) {
    assert.equal(!!isShortcut(pressed(keys)), false, keys);
  }
});

test("what an input method composes stays in the chat", () => {
  assert.equal(isShortcut(pressed("Ctrl+s", { isComposing: true })), false);
  assert.equal(!!isShortcut({ key: "Process", keyCode: 229, ctrlKey: true }), false);
});

test("a keyboard with other letters undoes and saves with the same keys", () => {
  assert.equal(isShortcut(pressed("Ctrl+я", { keyCode: 90 })), false);
  assert.equal(isShortcut(pressed("Ctrl+ы", { keyCode: 83 })), true);
});
