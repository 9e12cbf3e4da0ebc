// The browser's Python without a browser: Node loads Pyodide, unpacks the bundle and answers what it is asked.
//   node lane.mjs PYODIDE_FOLDER BUNDLE.zip REQUESTS.json ANSWERS.jsonl
// REQUESTS.json is a list of [name, request] (both text, as ortholab.explore.answer takes them). ANSWERS.jsonl gets a line
// of JSON for each, {"name", "request", "answer", "ms"}, after a first line {"loaded_ms"}: a file, since a pipe that is
// full would lose text.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, bundle, requests, answers] = process.argv.slice(2).map((part) => path.resolve(part));

async function main() {
  const start = performance.now();
  const { loadPyodide } = await import(pathToFileURL(path.join(folder, "pyodide.mjs")).href);
  const quiet = { messageCallback: () => {} };
  const python = await loadPyodide({ indexURL: folder + path.sep, packages: ["numpy", "openblas"], ...quiet });
  // Unpacked and not loaded as a package: Pyodide would load all of scipy's libraries at once, and few are used.
  const wheel = fs.readdirSync(folder).find((name) => name.startsWith("scipy-"));
  python.unpackArchive(bytes(path.join(folder, wheel)), "wheel");
  python.unpackArchive(bytes(bundle), "zip", { extractDir: "/home/pyodide" });
  python.runPython("import warnings; warnings.simplefilter('error', RuntimeWarning); from ortholab import explore");
  const answer = python.runPython("explore.answer");
  print({ loaded_ms: performance.now() - start });
  for (const [name, request] of JSON.parse(fs.readFileSync(requests, "utf8"))) {
    const before = performance.now();
    const text = answer(name, request);
    print({ name, request, answer: text, ms: performance.now() - before });
  }
}

function bytes(file) {
  return new Uint8Array(fs.readFileSync(file)); // Pyodide does not know Node's Buffer
}

function print(line) {
  fs.appendFileSync(answers, JSON.stringify(line) + "\n");
}

main().catch((error) => {
  // Its stack holds the whole of Pyodide's source: the message is what helps.
  fs.writeSync(2, String(error.message ?? error).slice(-3000) + "\n");
  process.exit(1);
});
