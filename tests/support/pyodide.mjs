// Runs a Python program in Pyodide: node pyodide.mjs PYODIDE PROGRAM FOLDER..., its path's folders.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, program, ...folders] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(pyodide, "pyodide.mjs")));
const python = await loadPyodide();
const path = folders.map((folder, number) => {
  python.mountNodeFS(`/path${number}`, folder);
  return `/path${number}`;
});
python.runPython(`import sys; sys.dont_write_bytecode = True; sys.path[:0] = ${JSON.stringify(path)}`);
try {
  await python.runPythonAsync(readFileSync(program, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
// Python's timers that are cancelled would keep node alive until they are due.
process.exit();
