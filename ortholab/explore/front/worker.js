// Python in a Web Worker: Pyodide with numpy and the part of ortholab that needs no torch; scipy when it is first needed.
//
// Every file of Pyodide is fetched here, once, with its sha256; Pyodide then gets exactly these bytes. A source that
// fails (no copy beside the page, no network, a wrong hash) gives way to the next.

let pyodide, answer, setup;
let scipy = null; // the promise that it is there, once it was asked for
const isFirst = (name) => !setup.later.includes(name);

const base64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16))));
const realFetch = self.fetch.bind(self);
const TYPES = { wasm: "application/wasm", json: "application/json", js: "text/javascript" };

// Fetch one file with its hash, telling `heard` of the bytes as they come.
async function fetchFile(url, sha256, heard = () => {}) {
  const response = await realFetch(url, { integrity: "sha256-" + base64(sha256) });
  if (!response.ok) throw new Error(`${url.split("/").pop()}: ${response.status}`);
  const chunks = [];
  const reader = response.body.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    chunks.push(step.value);
    heard(step.value.length);
  }
  return new Blob(chunks).arrayBuffer();
}

// Fetch the files that `wanted` names from one source: a map from address to the promise of its bytes.
function download(source, files, wanted, what) {
  const chosen = Object.entries(files).filter(([name]) => wanted(name));
  const total = chosen.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  let got = 0;
  const heard = (bytes) => {
    got += bytes;
    postMessage({ kind: "progress", text: `Loading ${what}: ${Math.min(100, Math.round((100 * got) / total))} %`, part: Math.min(1, got / total) });
  };
  return new Map(chosen.map(([name, { sha256 }]) => [source + name, fetchFile(source + name, sha256, heard)]));
}

// Let `work` run with a fetch that answers from these verified bytes.
async function served(fetched, work) {
  const refused = new Promise((_, no) => fetched.forEach((bytes) => bytes.catch(no)));
  self.fetch = async (resource, options) => {
    const url = typeof resource === "string" ? resource : resource.url || String(resource);
    if (!fetched.has(url)) return realFetch(resource, options);
    return new Response(await fetched.get(url), { headers: { "Content-Type": TYPES[url.split(".").pop()] || "application/octet-stream" } });
  };
  try {
    const result = await Promise.race([work(), refused]);
    await Promise.all(fetched.values()); // a file that Pyodide did not ask for must be right too
    return result;
  } finally {
    self.fetch = realFetch;
    fetched.clear();
  }
}

async function run(script) {
  const address = URL.createObjectURL(new Blob([await script], { type: "text/javascript" }));
  importScripts(address);
  URL.revokeObjectURL(address);
}

async function boot(source, library) {
  const fetched = download(source, setup.files, isFirst, "Python");
  pyodide = await served(fetched, async () => {
    await run(fetched.get(source + "pyodide.js"));
    await run(fetched.get(source + "pyodide.asm.js"));
    return loadPyodide({ indexURL: source, packages: ["numpy"] });
  });
  postMessage({ kind: "progress", text: "Importing the library", part: null });
  pyodide.unpackArchive(await library, "zip", { extractDir: "/home/pyodide" });
  answer = pyodide.runPython("from ortholab.explore import answer; import ortholab.theory; answer");
  setup.source = source;
  return `Python ${pyodide.runPython("import sys; '.'.join(map(str, sys.version_info[:2]))")}`;
}

async function start(message) {
  setup = message;
  const library = fetchFile(message.bundle, message.bundle_sha256);
  library.catch(() => {}); // boot() hears of it
  const reasons = [];
  for (const source of message.sources) {
    try {
      postMessage({ kind: "ready", python: await boot(source, library) });
      return;
    } catch (error) {
      reasons.push(String(error.message || error).split("\n").filter(Boolean).pop());
    }
  }
  postMessage({ kind: "failed", reason: reasons.join("; ") });
}

// scipy's shim for array libraries does `from numpy import *`, which would import numpy's test tools and Fortran reader.
// Empty modules stand in their place until scipy is there.
const IMPORT_SCIPY = `
import sys, types, numpy
idle = [name for name in ("f2py", "testing", "ctypeslib") if "numpy." + name not in sys.modules]
for name in idle:
    sys.modules["numpy." + name] = types.ModuleType("numpy." + name)
    setattr(numpy, name, sys.modules["numpy." + name])
import scipy.linalg, scipy.optimize, scipy.special
for name in idle:
    del sys.modules["numpy." + name]
    delattr(numpy, name)
`;

async function loadScipy() {
  const fetched = download(setup.source, setup.files, (name) => !isFirst(name), "scipy");
  await served(fetched, () => pyodide.loadPackage(["scipy"], { messageCallback: () => {} }));
  postMessage({ kind: "progress", text: "Importing scipy", part: null });
  pyodide.runPython(IMPORT_SCIPY);
}

// Answer one question; if it needs scipy, bring scipy first.
async function reply({ id, name, request }) {
  const began = performance.now();
  const say = (error) => String(error.message || error).split("\n").filter(Boolean).pop();
  const ask = () => {
    try {
      return answer(name, request);
    } catch (error) { // Python itself gave up; what it can foresee is in the text already
      return JSON.stringify({ error: `Python failed: ${say(error)}` });
    }
  };
  let text = ask();
  if (text.includes("No module named 'scipy")) {
    try {
      scipy = scipy || loadScipy();
      await scipy;
      text = ask();
    } catch (error) {
      scipy = null; // the next question tries again
      text = JSON.stringify({ error: `This needs scipy, which could not be loaded (${say(error)}).` });
    }
    postMessage({ kind: "settled" });
  }
  postMessage({ kind: "answer", id, text, milliseconds: performance.now() - began, heap: pyodide._module.HEAP8.length });
}

self.onmessage = ({ data }) => (data.kind === "start" ? start(data) : reply(data));
