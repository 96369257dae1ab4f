// Tells the shortcuts of the host, such as Ctrl+S, from the keys that belong to the chat.

/**
 * Tell whether a key is for the host. Keys that type, move or edit are not: with the focus in an
 * output, the host would take them for commands to its cells.
 * @param {KeyboardEvent} event
 */
export function isShortcut({ key, keyCode, isComposing, altKey, ctrlKey, metaKey, shiftKey }) {
  // Alt types characters on a Mac, and Ctrl+Alt is AltGr on Windows.
  if (isComposing || altKey) return false;
  if (/^F\d/.test(key)) return true;
  // The key code names the Latin letter on any keyboard: Ctrl+Я is Ctrl+Z.
  const isEdit = (shiftKey ? "MVZ" : "ACVXYZ").includes(String.fromCharCode(keyCode));
  return (ctrlKey || metaKey) && !isEdit && /^(.|Tab|Page\w+)$/u.test(key);
}
