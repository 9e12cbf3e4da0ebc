// Python in a Web Worker: Pyodide with numpy, scipy and the part of ortholab that needs no torch.
//
// Every file of Pyodide is fetched here, once, with its sha256; Pyodide then gets exactly these bytes. A source that
// fails (no copy beside the page, no network, a wrong hash) gives way to the next.

let answer, heap; // the Python function, and how large Python's memory is

const base64 = (hex) => btoa(String.fromCharCode(...hex.match(/../g).map((pair) => parseInt(pair, 16))));

// Fetch one file with its hash, telling `heard` of the bytes as they come.
async function fetchFile(url, sha256, heard) {
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

const realFetch = self.fetch.bind(self);
const TYPES = { wasm: "application/wasm", json: "application/json", js: "text/javascript", zip: "application/zip", whl: "application/zip" };

// All of Pyodide from one source: a map from address to the promise of its bytes.
function download(source, files, total) {
  let got = 0;
  const heard = (bytes) => {
    got += bytes;
    postMessage({ kind: "progress", text: `Loading Python: ${Math.min(100, Math.round((100 * got) / total))} %`, part: Math.min(1, got / total) });
  };
  return new Map(Object.entries(files).map(([name, { sha256 }]) => [source + name, fetchFile(source + name, sha256, heard)]));
}

// scipy's shim for array libraries does `from numpy import *`, which would import numpy's test tools and Fortran reader: a
// fifth of the time until the first answer. Empty modules stand in their place until scipy is there.
const IMPORT = `
import sys, types, numpy
idle = [name for name in ("f2py", "testing", "ctypeslib") if "numpy." + name not in sys.modules]
for name in idle:
    sys.modules["numpy." + name] = types.ModuleType("numpy." + name)
    setattr(numpy, name, sys.modules["numpy." + name])
from ortholab.explore import answer
import ortholab.theory
for name in idle:
    del sys.modules["numpy." + name]
    delattr(numpy, name)
answer
`;

async function run(script) {
  const address = URL.createObjectURL(new Blob([await script], { type: "text/javascript" }));
  importScripts(address);
  URL.revokeObjectURL(address);
}

async function boot(source, { files, packages }, library) {
  const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
  const fetched = download(source, files, total);
  await Promise.race([Promise.all(fetched.values()), fetched.get(source + "pyodide.js")]);
  self.fetch = async (resource, options) => {
    const url = typeof resource === "string" ? resource : resource.url || String(resource);
    if (!fetched.has(url)) return realFetch(resource, options);
    const bytes = await fetched.get(url);
    return new Response(bytes, { headers: { "Content-Type": TYPES[url.split(".").pop()] || "application/octet-stream" } });
  };
  await run(fetched.get(source + "pyodide.js"));
  await run(fetched.get(source + "pyodide.asm.js"));
  const pyodide = await loadPyodide({ indexURL: source, packages });
  await Promise.all(fetched.values()); // a file that Pyodide did not ask for must be right too
  fetched.clear();
  self.fetch = realFetch;
  postMessage({ kind: "progress", text: "Importing the library", part: null });
  pyodide.unpackArchive(await library, "zip", { extractDir: "/home/pyodide" });
  answer = pyodide.runPython(IMPORT);
  heap = () => pyodide._module.HEAP8.length;
  return `Python ${pyodide.runPython("import sys; '.'.join(map(str, sys.version_info[:2]))")}`;
}

async function start(message) {
  const library = fetchFile(message.bundle, message.bundle_sha256, () => {});
  const reasons = [];
  for (const source of message.sources) {
    try {
      postMessage({ kind: "ready", python: await boot(source, message, library) });
      return;
    } catch (error) {
      reasons.push(String(error.message || error).split("\n").filter(Boolean).pop());
      self.fetch = realFetch;
      if (typeof loadPyodide === "function" && answer === undefined && reasons.length < message.sources.length) continue;
    }
  }
  postMessage({ kind: "failed", reason: reasons.join("; ") });
}

self.onmessage = ({ data }) => {
  if (data.kind === "start") start(data);
  if (data.kind === "ask") {
    const began = performance.now();
    const text = answer(data.name, data.request);
    postMessage({ kind: "answer", id: data.id, text, milliseconds: performance.now() - began, heap: heap() });
  }
};
