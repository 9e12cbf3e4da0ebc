// One explorable on a page: controls, picture, readout, and whichever Python there is to ask (or stored values).

import { drawPanel, element, plain, short, words } from "./draw.js";

let serial = 0;

// ---- hosts: each has ask(name, values) -> Promise<{picture} | {error}> ----

// A kernel behind an anywidget model. A busy kernel answers the ping when it is free: until then, `meet` hears false.
class Kernel {
  kind = "kernel";
  constructor(model, meet, patience = 4000) {
    this.model = model;
    this.waiting = new Map();
    const silence = setTimeout(() => meet(false), patience);
    model.on("msg:custom", (message) => {
      if (message.kind === "pong") {
        clearTimeout(silence);
        meet(true);
      }
      if (message.kind === "answer") {
        this.waiting.get(message.id)?.(JSON.parse(message.text));
        this.waiting.delete(message.id);
      }
    });
    model.send({ kind: "ping" });
  }
  ask(name, values) {
    const id = ++serial;
    this.model.send({ kind: "ask", id, request: JSON.stringify(values) });
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
}

// Python in this page: one worker for all explorables of the page, started on demand, ended with the page.
class Browser {
  kind = "browser";
  constructor(config) {
    this.config = config;
    this.waiting = new Map();
    this.watchers = new Set();
    this.state = "idle"; // idle, loading, live, failed
    this.note = ["", null, false];
    addEventListener("pagehide", () => this.end());
  }
  // Tell every explorable of the page where Python is; `busy` while something loads.
  tell(state, text, part = null, busy = false) {
    this.state = state;
    this.note = [text, part, busy];
    for (const watch of this.watchers) watch(state, ...this.note);
  }
  settle() {
    this.tell("live", `Computed live by ${this.python} in this page.`);
  }
  get possible() {
    return Boolean(this.config) && location.protocol.startsWith("http") && typeof Worker === "function" && typeof WebAssembly === "object";
  }
  start() {
    if (this.state !== "idle") return this.ready;
    this.tell("loading", "Starting Python in this page", 0, true);
    this.ready = new Promise((resolve, reject) => {
      const fail = (reason) => {
        this.end();
        this.tell("failed", `Python did not start (${reason}). The stored values remain.`);
        reject(new Error(reason));
      };
      try {
        this.worker = new Worker(this.config.base + this.config.worker);
      } catch (error) {
        fail(error.message);
        return;
      }
      this.worker.onerror = (event) => fail(event.message || "the worker could not be loaded");
      this.worker.onmessage = ({ data }) => {
        if (data.kind === "progress") this.tell(this.state, data.text, data.part, true);
        else if (data.kind === "ready") { this.python = data.python; this.settle(); resolve(); }
        else if (data.kind === "settled") this.settle();
        else if (data.kind === "failed") fail(data.reason);
        else if (data.kind === "answer") {
          this.waiting.get(data.id)?.({ ...JSON.parse(data.text), milliseconds: data.milliseconds, heap: data.heap });
          this.waiting.delete(data.id);
        }
      };
      const absolute = (path) => new URL(path, document.baseURI).href;
      this.worker.postMessage({ kind: "start", ...this.config, bundle: absolute(this.config.base + this.config.bundle), sources: this.config.sources.map(absolute) });
    });
    this.ready.catch(() => {}); // each explorable hears of it through tell()
    return this.ready;
  }
  ask(name, values) {
    const id = ++serial;
    this.worker.postMessage({ kind: "ask", id, name, request: JSON.stringify(values) });
    return new Promise((resolve) => this.waiting.set(id, resolve));
  }
  end() {
    this.worker?.terminate();
    this.worker = null;
    for (const resolve of this.waiting.values()) resolve(null); // nobody will answer: let them go
    this.waiting.clear();
    if (this.state !== "failed") this.tell("idle", "");
  }
}

// Answers computed at build time, by setting. Arrays that several settings share are stored once.
class Stored {
  kind = "stored";
  constructor(data, controls) {
    this.data = data;
    this.controls = controls;
  }
  get empty() {
    return !this.data?.states?.length;
  }
  // The stored setting that is nearest to the wanted one; a control that was just moved counts most.
  nearest(values, moved) {
    const distance = (state) => this.controls.reduce((sum, control) => {
      const [a, b] = [state[control.name], values[control.name]];
      if (a === b) return sum;
      const gap = control.kind === "range" ? Math.abs(control.values.indexOf(a) - control.values.indexOf(b)) / control.values.length : 1;
      return sum + gap * (control.name === moved ? 100 : 1);
    }, 0);
    return this.data.states.reduce((best, state, i) => {
      const d = distance(state.values);
      return d < best.d ? { d, i } : best;
    }, { d: Infinity, i: 0 }).i;
  }
  answer(index) {
    const unpack = (value) => {
      if (Array.isArray(value)) return value.map(unpack);
      if (value && typeof value === "object") {
        if ("$" in value && Object.keys(value).length === 1) return this.data.arrays[value.$];
        return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
      }
      return value;
    };
    return unpack(this.data.states[index].answer);
  }
}

// ---- one explorable ----

class View {
  constructor(el, spec, { stored, browser, model }) {
    Object.assign(this, { el, spec, browser, stored: new Stored(stored, spec.controls) });
    this.values = Object.fromEntries(spec.controls.map((c) => [c.name, c.default]));
    this.id = `ol-x-${++serial}`;
    this.build();
    if (!this.stored.empty) this.show(this.stored.answer(0), "stored");
    if (model) this.kernel = new Kernel(model, (alive) => this.meet(alive));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.panels);
    if (browser) {
      browser.watchers.add((...note) => this.hear(...note));
      this.hear(browser.state, ...browser.note);
    }
  }

  // -- building --

  build() {
    this.panels = element("div", { class: "ol-x-panels" });
    this.readout = element("p", { class: "ol-x-readout" });
    this.facts = element("dl", { class: "ol-x-facts" });
    this.voice = element("div", { class: "ol-x-voice", role: "status" });
    this.status = element("span", { class: "ol-x-status" });
    this.meter = element("progress", { class: "ol-x-meter", max: 1, hidden: true, "aria-label": "Loading Python" });
    this.button = element("button", { type: "button", class: "ol-x-start", hidden: true }, "Compute live");
    this.button.addEventListener("click", () => this.go());
    this.reset = element("button", { type: "button", class: "ol-x-reset" }, "Reset");
    this.reset.addEventListener("click", () => this.set(Object.fromEntries(this.spec.controls.map((c) => [c.name, c.default]))));
    this.inputs = {};
    const controls = element("div", { class: "ol-x-controls", role: "group", "aria-label": `Controls: ${plain(this.spec.title)}` });
    for (const control of this.spec.controls) controls.append(this.makeControl(control));
    this.el.append(controls, this.panels, this.readout, this.facts, element("div", { class: "ol-x-foot" }, this.button, this.reset, this.meter, this.status), this.voice);
    this.reveal();
  }

  makeControl(control) {
    const id = `${this.id}-${control.name}`;
    const row = element("div", { class: `ol-x-control ol-x-${control.kind}`, "data-control": control.name });
    const name = words(element("label", { for: id }), control.label);
    let input, value;
    if (control.kind === "range") {
      input = element("input", { id, type: "range", min: 0, max: control.values.length - 1, step: 1 });
      value = element("output", { for: id });
      input.addEventListener("input", () => this.change(control.name, control.values[Number(input.value)]));
    } else if (control.kind === "choice") {
      input = element("select", { id }, ...control.options.map(([key, text]) => element("option", { value: key }, plain(text))));
      input.addEventListener("change", () => this.change(control.name, input.value));
    } else if (control.kind === "switch") {
      input = element("input", { id, type: "checkbox" });
      input.addEventListener("change", () => this.change(control.name, input.checked));
    } else {
      input = element("input", { id, type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off", maxlength: 200, "aria-describedby": `${id}-note` });
      value = element("span", { id: `${id}-note`, class: "ol-x-note" });
      let wait;
      input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(() => this.change(control.name, input.value), 300); });
    }
    this.inputs[control.name] = { control, input, value, row };
    row.append(...(control.kind === "switch" ? [input, name] : [name, input]), ...(value ? [value] : []));
    if (this.spec.film && control.name === "frame") row.append(this.makePlay(control));
    return row;
  }

  makePlay(control) {
    const button = element("button", { type: "button", class: "ol-x-play", "aria-pressed": "false" }, "Play");
    const stop = () => { clearInterval(this.playing); this.playing = null; button.textContent = "Play"; button.setAttribute("aria-pressed", "false"); };
    button.addEventListener("click", () => {
      if (this.playing) { stop(); return; }
      let at = control.values.indexOf(this.values[control.name]);
      if (at === control.values.length - 1) at = -1;
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "true");
      this.playing = setInterval(() => {
        if (this.busy) return; // a kernel that trains may take longer than a tick
        if (this.busy) return; // a kernel still trains the frame before
        at += 1;
        this.set({ [control.name]: control.values[at] });
        if (at >= control.values.length - 1) stop();
      }, 180);
    });
    return button;
  }

  // Write the values into the inputs, and hide what does not apply.
  reveal() {
    for (const { control, input, value, row } of Object.values(this.inputs)) {
      const now = this.values[control.name];
      if (control.kind === "range") {
        input.value = control.values.indexOf(now);
        value.textContent = short(now);
        input.setAttribute("aria-valuetext", short(now));
      } else if (control.kind === "switch") input.checked = now;
      else if (document.activeElement !== input) input.value = now;
      if (control.shown_when) row.hidden = this.values[control.shown_when[0]] !== control.shown_when[1];
    }
  }

  // -- changing --

  set(values) {
    Object.assign(this.values, values);
    const names = Object.keys(values);
    this.update(names.length === 1 ? names[0] : null);
  }

  change(name, value) {
    this.values[name] = value;
    this.update(name);
  }

  get host() {
    if (this.met) return this.kernel;
    if (this.spec.film) return null; // a page has its frames stored
    return this.browser?.state === "live" ? this.browser : null;
  }

  update(moved) {
    this.reveal();
    if (this.host) { this.request(); return; }
    if (this.kernel) { this.wish = true; return; } // it answers once it is free
    if (this.stored.empty) return;
    const possible = !this.spec.film && this.browser?.possible && this.browser.state !== "failed";
    const index = this.stored.nearest(this.values, moved);
    const wanted = this.values;
    if (!possible) {
      // Nothing can compute here: the controls go to the stored setting, so that they never differ from the picture.
      this.values = { ...this.stored.data.states[index].values };
      this.reveal();
    }
    this.show(this.stored.answer(index), "stored");
    const typed = this.spec.controls.find((c) => c.kind === "formula" && wanted[c.name] !== this.values[c.name]);
    if (typed) this.complain(typed.name, "A formula of your own needs Python, which cannot start here.");
    if (possible) this.go();
  }

  go() {
    if (!this.browser?.possible || this.browser.state === "failed") return;
    this.browser.start().then(() => this.request(), () => {}); // hear() is told of a failure
  }

  // Ask for the present values; while an answer is under way only the latest wish is kept.
  async request() {
    if (this.busy) { this.wish = true; return; }
    this.busy = true;
    this.wish = false;
    const host = this.host, values = { ...this.values }, began = performance.now();
    const answer = await host.ask(this.spec.name, values);
    this.busy = false;
    if (!answer) return; // Python ended under way; what is shown remains
    this.show(answer, host.kind);
    this.el.dispatchEvent(new CustomEvent("ortholab:answer", { bubbles: true, detail: { host: host.kind, values, answer, total: performance.now() - began } }));
    if (this.wish) this.request();
  }

  // -- showing --

  complain(name, text) {
    const note = this.inputs[name]?.value;
    if (!note || this.inputs[name].control.kind !== "formula") return false;
    note.textContent = text;
    this.inputs[name].input.setAttribute("aria-invalid", text ? "true" : "false");
    return true;
  }

  show(answer, host) {
    this.el.dataset.host = host;
    for (const { control } of Object.values(this.inputs)) if (control.kind === "formula") this.complain(control.name, "");
    if (answer.error) {
      const at = Object.values(this.inputs).find(({ control }) => control.kind === "formula" && !this.inputs[control.name].row.hidden);
      if (!at || !this.complain(at.control.name, answer.error)) words(this.readout, answer.error);
      this.say(answer.error);
      return;
    }
    this.picture = answer.picture;
    words(this.readout, answer.picture.readout);
    this.facts.replaceChildren(...answer.picture.facts.map(([name, value]) => element("div", {}, words(element("dt"), name), element("dd", {}, short(value)))));
    this.say(answer.picture.readout);
    this.draw();
  }

  // A screen reader hears the readout once the hand rests.
  say(text) {
    clearTimeout(this.saying);
    this.saying = setTimeout(() => { if (this.voice.textContent !== plain(text)) this.voice.textContent = plain(text); }, this.spoke ? 600 : 0);
    if (!this.spoke) { clearTimeout(this.saying); this.spoke = true; } // the first picture is not a change
  }

  draw() {
    const room = this.panels.clientWidth;
    if (!this.picture || !room) return;
    const count = this.picture.panels.length, gap = 12;
    const columns = Math.max(1, Math.min(count, Math.floor((room + gap) / (205 + gap))));
    const width = Math.floor((room - gap * (columns - 1)) / columns);
    const height = Math.round(Math.min(columns === 1 ? 300 : 270, Math.max(210, 0.78 * width)));
    while (this.panels.children.length > count) this.panels.lastChild.remove();
    while (this.panels.children.length < count) this.panels.append(this.makePanel(this.panels.children.length));
    this.picture.panels.forEach((panel, i) => {
      const svg = this.panels.children[i];
      svg.setAttribute("aria-label", plain(panel.title || [panel.y, panel.x].filter(Boolean).join(" against ") || this.spec.title));
      svg.frame = drawPanel(svg, panel, width, height);
      this.handle(svg, i);
    });
  }

  makePanel(index) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("class", "ol-x-panel");
    const plane = this.spec.planes.find((p) => p.panel === index);
    if (plane) {
      svg.classList.add("ol-x-plane");
      const move = (event) => {
        const rect = svg.getBoundingClientRect();
        const at = { x: event.clientX - rect.left, y: event.clientY - rect.top };
        const [x, y] = [svg.frame.X.invert(at.x), svg.frame.Y.invert(at.y)];
        const near = (name, v) => this.inputs[name].control.values.reduce((a, b) => (Math.abs(b - v) < Math.abs(a - v) ? b : a));
        this.set({ [plane.x]: near(plane.x, x), [plane.y]: near(plane.y, y) });
      };
      svg.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        const { box } = svg.frame, rect = svg.getBoundingClientRect();
        const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
        if (x < box.left - 12 || x > box.right + 12 || y < box.top - 12 || y > box.bottom + 12) return;
        svg.setPointerCapture(event.pointerId);
        event.preventDefault();
        move(event);
      });
      svg.addEventListener("pointermove", (event) => { if (svg.hasPointerCapture(event.pointerId)) move(event); });
    }
    return svg;
  }

  // The point that is dragged. Its two sliders are the way for the keyboard, so it is silent for a screen reader.
  handle(svg, index) {
    const plane = this.spec.planes.find((p) => p.panel === index);
    if (!plane) return;
    const { X, Y } = svg.frame;
    const [x, y] = [X(this.values[plane.x]), Y(this.values[plane.y])];
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [key, value] of Object.entries({ cx: x, cy: y, r: 8, class: "ol-x-handle", "aria-hidden": "true" })) dot.setAttribute(key, value);
    svg.firstChild.append(dot);
  }

  // -- hearing of the hosts --

  hear(state, text, part, busy) {
    if (this.met) return;
    const film = this.spec.film;
    this.el.dataset.state = state;
    this.button.hidden = Boolean(film) || state !== "idle" || !this.browser.possible;
    this.meter.hidden = !busy || Boolean(film);
    if (part === null || part === undefined) this.meter.removeAttribute("value");
    else this.meter.value = part;
    if (film) this.status.textContent = "A stored film. Open the notebook to train it live.";
    else if (state === "idle") {
      this.status.textContent = this.browser.possible
        ? `Stored values. Move a control, and Python starts in this page (${this.browser.config.megabytes} MB, once).`
        : "Stored values: the controls go from one to the next. To compute live, serve the page (make serve).";
    } else this.status.textContent = text + (state === "live" && !busy && this.spec.slow ? ` Moves may take a moment: ${this.spec.slow}` : "");
    if (state === "failed" && !this.stored.empty) this.update(null);
  }

  meet(alive) {
    const live = this.spec.film ? "Press Play: the kernel trains it now, frame by frame." : "Computed live by the kernel.";
    this.met = alive;
    this.el.dataset.state = alive ? "live" : "failed";
    this.button.hidden = true;
    this.status.textContent = alive ? live : "The kernel is busy or gone. If it is gone, run the cell again.";
    if (alive && this.wish) this.request();
  }
}

// anywidget's entry: a notebook with a kernel.
function render({ model, el }) {
  const spec = model.get("spec");
  el.classList.add("ol", "ol-explorable");
  const heading = element("div", { class: "ol-x-head" }, element("span", { class: "ol-x-kicker" }, spec.film ? "Watch" : "Try it"), " ", words(element("strong"), spec.title));
  const live = element("div", { class: "ol-x-live" });
  const answer = element("details", { class: "ol-x-answer" }, element("summary", {}, "Answer"), words(element("p"), spec.answer));
  el.append(heading, words(element("p", { class: "ol-x-question" }), spec.question), live, answer);
  const view = new View(live, spec, { stored: model.get("stored"), model });
  return () => view.observer.disconnect();
}

// The built page's entry: every figure that carries its declaration and stored values comes alive.
function boot(config) {
  const browser = new Browser(config);
  const views = [...document.querySelectorAll("figure.ol-explorable")].map((figure) => {
    const data = JSON.parse(figure.querySelector("script.ol-x-data").textContent);
    const live = element("div", { class: "ol-x-live" });
    figure.querySelector(".ol-x-still").replaceWith(live);
    return new View(live, data.spec, { stored: data.stored, browser });
  });
  return { browser, views };
}

export default { render, boot };
