// Draws a declared picture (ortholab/explore/picture.py) as SVG: axes, marks, direct labels. Knows no host.

const SVG = "http://www.w3.org/2000/svg";
const DASH = { gaussian: "7 3", relu: "2 3", extra: "8 3 2 3", chaotic: "7 3" };
const MARKER = { gaussian: "square", relu: "triangle", extra: "diamond", data: "cross", chaotic: "square" };
const VIRIDIS = ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"];
const DIVERGING = ["#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b"];
const FONT = 12;

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function shape(tag, attributes, parent) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

const paint = (color) => `var(--ol-${color})`;

// ---- words: σ_w, x^{2}, `code`, **strong** (ortholab/explore/markup.py) ----

export function pieces(text) {
  const out = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|([_^])(?:\{([^{}]+)\}|([\p{L}\p{N}_]+|\*))/gu;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) out.push(["text", text.slice(end, match.index)]);
    const [, code, strong, script, braced, bare] = match;
    if (script) out.push([script === "_" ? "sub" : "sup", braced || bare]);
    else out.push(code ? ["code", code] : ["strong", strong]);
    end = match.index + match[0].length;
  }
  if (end < text.length) out.push(["text", text.slice(end)]);
  return out;
}

export function words(parent, text) {
  parent.textContent = "";
  for (const [kind, piece] of pieces(text)) {
    if (kind === "text") parent.append(piece);
    else parent.append(kind === "strong" ? words(element("strong"), piece) : element(kind, {}, piece));
  }
  return parent;
}

export function plain(text) {
  return pieces(text).map(([kind, piece]) => ({ sub: "_", sup: "^" }[kind] || "") + piece).join("");
}

function label(parent, x, y, text, { anchor = "start", color = "ink", size = FONT, halo = false, bold = false, turn = 0 } = {}) {
  const node = shape("text", {
    x, y, "text-anchor": anchor, "font-size": size, class: "ol-x-text" + (halo ? " ol-x-halo" : ""),
    fill: paint(color), ...(bold ? { "font-weight": 650 } : {}), ...(turn ? { transform: `rotate(${turn} ${x} ${y})` } : {}),
  }, parent);
  let shift = 0;
  for (const [kind, piece] of pieces(text)) {
    const wanted = kind === "sub" ? 0.28 * size : kind === "sup" ? -0.38 * size : 0;
    const part = shape("tspan", { dy: wanted - shift }, node);
    if (kind === "sub" || kind === "sup") part.setAttribute("font-size", 0.76 * size);
    part.textContent = piece;
    shift = wanted;
  }
  return node;
}

const wide = (text, size = FONT) => pieces(text).reduce((sum, [kind, piece]) => sum + piece.length * (kind === "sub" || kind === "sup" ? 0.45 : 0.56) * size, 0);

// The size at which words take no more room than there is (but no smaller than can be read).
const fit = (text, room) => Math.max(9.5, Math.min(FONT, (FONT * room) / wide(text)));

// ---- numbers ----

export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("e+", "e").replace("-", "−").replace("e-", "e−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) || 10);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks.map((value) => [value, short(value)]);
}

function logTicks(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) {
    const ticks = [];
    for (let p = first - 1; p <= last; p++) for (const m of [1, 2, 5]) {
      const value = Number((m * 10 ** p).toPrecision(6));
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push([value, short(value)]);
    }
    return ticks;
  }
  const every = Math.max(1, Math.ceil((last - first + 1) / count));
  const ticks = [];
  for (let p = first; p <= last; p += every) ticks.push([10 ** p, p >= -2 && p <= 3 ? short(10 ** p) : `10^{${String(p).replace("-", "−")}}`]);
  return ticks;
}

function scale(kind, [low, high], from, to) {
  const f = kind === "log" ? (v) => Math.log10(v) : (v) => v;
  const a = f(low), b = f(high);
  const map = (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  map.invert = (p) => {
    const t = a + ((p - from) / (to - from)) * (b - a);
    return kind === "log" ? 10 ** t : t;
  };
  return map;
}

function extent(panel, axis) {
  const given = panel[axis + "lim"];
  if (given) return given;
  const log = panel[axis + "scale"] === "log";
  const values = [];
  for (const mark of panel.marks) {
    const lists = axis === "x" ? [mark.x, mark.edges] : [mark.y, mark.low, mark.high];
    for (const list of lists) for (const v of list || []) if (v !== null && (!log || v > 0)) values.push(v);
    if (mark.kind === "guide" && mark.axis === axis) values.push(mark.at);
    if (mark.kind === "histogram" && axis === "y") values.push(0);
    if (mark.kind === "matrix") values.push(0, axis === "x" ? mark.z[0].length : mark.z.length);
  }
  if (!values.length) return log ? [0.1, 1] : [0, 1];
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  if (panel.marks.some((m) => m.kind === "heat" || m.kind === "matrix")) return [low, high];
  return log ? [low / 1.2, high * 1.2] : [low - 0.04 * (high - low), high + 0.06 * (high - low)];
}

// ---- colours of maps ----

function ramp(colors, t) {
  const at = Math.min(1, Math.max(0, t)) * (colors.length - 1);
  const i = Math.min(colors.length - 2, Math.floor(at));
  const channel = (c, k) => parseInt(c.slice(1 + 2 * k, 3 + 2 * k), 16);
  return [0, 1, 2].map((k) => Math.round(channel(colors[i], k) + (at - i) * (channel(colors[i + 1], k) - channel(colors[i], k))));
}

function raster(z, color, flip) {
  const canvas = document.createElement("canvas");
  canvas.width = z[0].length;
  canvas.height = z.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  z.forEach((row, r) => row.forEach((value, c) => {
    const at = 4 * ((flip ? z.length - 1 - r : r) * canvas.width + c);
    if (value === null) return; // stays transparent: a gap
    const [red, green, blue] = color(value);
    image.data.set([red, green, blue, 255], at);
  }));
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

// Contour of z at one level by marching squares, as an SVG path.
function contour(mark, level, X, Y) {
  const path = [];
  for (let r = 0; r + 1 < mark.y.length; r++) for (let c = 0; c + 1 < mark.x.length; c++) {
    const corners = [[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]];
    if (corners.some(([i, j]) => mark.z[i][j] === null)) continue;
    const cuts = [];
    corners.forEach(([i, j], k) => {
      const [m, n] = corners[(k + 1) % 4];
      const a = mark.z[i][j] - level, b = mark.z[m][n] - level;
      if (a < 0 === b < 0) return;
      const t = a / (a - b);
      cuts.push([X(mark.x[j] + t * (mark.x[n] - mark.x[j])), Y(mark.y[i] + t * (mark.y[m] - mark.y[i]))]);
    });
    for (let k = 0; k + 1 < cuts.length; k += 2) path.push(`M${cuts[k].map(pixel)}L${cuts[k + 1].map(pixel)}`);
  }
  return path.join("");
}

const pixel = (v) => Math.round(10 * v) / 10;

// ---- marks ----

function polyline(xs, ys, X, Y) {
  let path = "", pen = false;
  xs.forEach((x, i) => {
    const px = x === null ? NaN : X(x), py = ys[i] === null ? NaN : Y(ys[i]);
    if (!Number.isFinite(px) || !Number.isFinite(py)) { pen = false; return; }
    path += `${pen ? "L" : "M"}${pixel(Math.max(-3e3, Math.min(3e3, px)))},${pixel(Math.max(-3e3, Math.min(3e3, py)))}`;
    pen = true;
  });
  return path;
}

function marker(parent, kind, x, y, color) {
  const r = 3.2;
  const paths = {
    square: `M${-r},${-r}H${r}V${r}H${-r}Z`, triangle: `M0,${-1.2 * r}L${1.1 * r},${r}H${-1.1 * r}Z`,
    diamond: `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
    cross: `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`, circle: `M${r},0A${r},${r} 0 1 1 ${-r},0A${r},${r} 0 1 1 ${r},0`,
  };
  const stroke = kind === "cross" ? { stroke: paint(color), "stroke-width": 1.5, fill: "none" } : { fill: paint(color) };
  shape("path", { d: paths[kind || "circle"], transform: `translate(${pixel(x)} ${pixel(y)})`, ...stroke }, parent);
}

const DRAW = {
  line(g, m, { X, Y }) {
    const dash = m.dashed ? "4 4" : DASH[m.color];
    shape("path", { d: polyline(m.x, m.y, X, Y), fill: "none", stroke: paint(m.color), "stroke-width": 2, "stroke-linejoin": "round", ...(dash ? { "stroke-dasharray": dash } : {}) }, g);
  },
  points(g, m, { X, Y }) {
    m.x.forEach((x, i) => {
      const px = X(x), py = Y(m.y[i]);
      if (x === null || m.y[i] === null || !Number.isFinite(px + py)) return;
      if (m.low && m.low[i] !== null && m.high[i] !== null) {
        const [a, b] = [Y(m.low[i]), Y(m.high[i])].map((v) => (Number.isFinite(v) ? v : 3e3));
        shape("path", { d: `M${pixel(px)},${pixel(a)}V${pixel(b)}`, stroke: paint(m.color), "stroke-width": 1.3 }, g);
      }
      marker(g, MARKER[m.color], px, py, m.color);
    });
  },
  band(g, m, { X, Y }) {
    const there = polyline(m.x, m.high, X, Y), back = polyline([...m.x].reverse(), [...m.low].reverse(), X, Y).replace(/^M/, "L");
    shape("path", { d: there + back + "Z", fill: paint(m.color), "fill-opacity": 0.18 }, g);
  },
  histogram(g, m, { X, Y, base }) {
    const ground = Number.isFinite(Y(0)) ? Y(0) : base;
    let path = `M${pixel(X(m.edges[0]))},${pixel(ground)}`;
    m.y.forEach((y, i) => {
      const height = Number.isFinite(Y(y)) ? Y(y) : ground;
      path += `V${pixel(height)}H${pixel(X(m.edges[i + 1]))}`;
    });
    shape("path", { d: path + `V${pixel(ground)}Z`, fill: paint(m.color), "fill-opacity": 0.28, stroke: paint(m.color), "stroke-width": 1 }, g);
  },
  heat(g, m, { X, Y }) {
    const dx = (m.x[m.x.length - 1] - m.x[0]) / (m.x.length - 1) / 2, dy = (m.y[m.y.length - 1] - m.y[0]) / (m.y.length - 1) / 2;
    const [left, right, top, bottom] = [X(m.x[0] - dx), X(m.x[m.x.length - 1] + dx), Y(m.y[m.y.length - 1] + dy), Y(m.y[0] - dy)];
    const [low, high] = m.limits;
    const href = raster(m.z, (v) => ramp(VIRIDIS, (v - low) / (high - low || 1)), true);
    shape("image", { href, x: left, y: top, width: right - left, height: bottom - top, preserveAspectRatio: "none" }, g);
    for (const level of m.levels) shape("path", { d: contour(m, level, X, Y), fill: "none", stroke: "#fefefe", "stroke-width": 1.6 }, g);
  },
  matrix(g, m, { X, Y }) {
    const rows = m.z.length, columns = m.z[0].length;
    const href = raster(m.z, (v) => ramp(DIVERGING, 0.5 + v / (2 * m.limit)), false);
    shape("image", { href, x: X(0), y: Y(rows), width: X(columns) - X(0), height: Y(0) - Y(rows), preserveAspectRatio: "none", style: "image-rendering:pixelated" }, g);
  },
  trajectory(g, m, { X, Y }) {
    const d = polyline(m.x, m.y, X, Y);
    shape("path", { d, fill: "none", stroke: paint(m.color), "stroke-width": 2, "stroke-linejoin": "round", ...(DASH[m.color] ? { "stroke-dasharray": DASH[m.color] } : {}) }, g);
    const dots = m.x.map((x, i) => [X(x), Y(m.y[i])]).filter(([a, b]) => Number.isFinite(a + b));
    if (!dots.length) return;
    shape("circle", { cx: pixel(dots[0][0]), cy: pixel(dots[0][1]), r: 3.2, fill: "var(--ol-paper)", stroke: paint(m.color), "stroke-width": 1.6 }, g);
    const tip = dots[dots.length - 1];
    const before = dots.findLast(([a, b]) => Math.hypot(a - tip[0], b - tip[1]) > 2);
    if (!before) return;
    const turn = (Math.atan2(tip[1] - before[1], tip[0] - before[0]) * 180) / Math.PI;
    shape("path", { d: "M2,0L-7,-4L-5,0L-7,4Z", fill: paint(m.color), transform: `translate(${pixel(tip[0])} ${pixel(tip[1])}) rotate(${pixel(turn)})` }, g);
  },
  guide(g, m, { X, Y, box }) {
    const at = m.axis === "x" ? X(m.at) : Y(m.at);
    if (!Number.isFinite(at)) return;
    const d = m.axis === "x" ? `M${pixel(at)},${box.top}V${box.bottom}` : `M${box.left},${pixel(at)}H${box.right}`;
    shape("path", { d, stroke: paint(m.color), "stroke-width": 1, "stroke-dasharray": "3 3" }, g);
  },
};

// Where a mark's name stands: [x, y, anchor], or null.
function place(m, { X, Y, box }) {
  const inside = (x, y) => x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 1 && y <= box.bottom + 1;
  if (m.kind === "guide") {
    return m.axis === "x" ? [X(m.at) + 4, box.top + 10, "start"] : [box.right - 2, Y(m.at) - 5, "end"];
  }
  if (m.kind === "histogram") {
    const top = m.y.indexOf(Math.max(...m.y));
    const x = (X(m.edges[top]) + X(m.edges[top + 1])) / 2;
    const anchor = x > box.right - 60 ? "end" : x < box.left + 60 ? "start" : "middle";
    return [x, Math.max(box.top + 10, Y(m.y[top]) - 7), anchor];
  }
  const ys = m.kind === "band" ? m.high : m.y;
  for (let i = (m.x?.length || 0) - 1; i >= 0; i--) {
    if (m.x[i] === null || ys?.[i] === null) continue;
    const x = X(m.x[i]), y = Y(ys[i]);
    if (inside(x, y)) return [x + 6, y + 4, "start"];
  }
  return null;
}

function names(g, panel, frame, width) {
  const found = [];
  for (const mark of panel.marks) {
    if (!mark.label || mark.kind === "heat" || mark.kind === "matrix") continue;
    const at = place(mark, frame);
    if (!at) continue;
    let [x, y, anchor] = at;
    const length = wide(mark.label, 11.5);
    if (anchor === "start" && x + length > width - 1) { x = Math.max(frame.box.left + 2, width - 1 - length); if (mark.kind !== "guide") y -= 8; }
    found.push({ x, y, anchor, length, mark });
  }
  // Names that would lie on each other are pushed apart, downwards.
  found.sort((a, b) => a.y - b.y);
  const start = (n) => (n.anchor === "end" ? n.x - n.length : n.anchor === "middle" ? n.x - n.length / 2 : n.x);
  found.forEach((name, i) => {
    for (const other of found.slice(0, i)) {
      const apart = start(name) > start(other) + other.length || start(other) > start(name) + name.length;
      if (!apart && name.y < other.y + 13) name.y = other.y + 13;
    }
    const color = name.mark.color === "line" ? "muted" : name.mark.color;
    label(g, name.x, Math.min(name.y, frame.box.bottom + 2), name.mark.label, { anchor: name.anchor, color, size: 11.5, halo: true });
  });
}

function colorBar(g, mark, box) {
  const colors = mark.kind === "heat" ? VIRIDIS : DIVERGING;
  const limits = mark.kind === "heat" ? mark.limits : [-mark.limit, mark.limit];
  const id = "ol-ramp-" + mark.kind;
  const gradient = shape("linearGradient", { id, x1: 0, y1: 1, x2: 0, y2: 0 }, shape("defs", {}, g));
  colors.forEach((color, i) => shape("stop", { offset: i / (colors.length - 1), "stop-color": color }, gradient));
  shape("rect", { x: box.right + 8, y: box.top, width: 8, height: box.bottom - box.top, fill: `url(#${id})` }, g);
  label(g, box.right + 20, box.bottom, short(limits[0]), { size: 10.5, color: "muted" });
  label(g, box.right + 20, box.top + 9, short(limits[1]), { size: 10.5, color: "muted" });
  for (const level of mark.levels || []) {
    const y = box.bottom - ((level - limits[0]) / (limits[1] - limits[0])) * (box.bottom - box.top);
    if (y < box.top || y > box.bottom) continue;
    shape("path", { d: `M${box.right + 8},${pixel(y)}h8`, stroke: "#fefefe", "stroke-width": 1.6 }, g);
    if (y > box.top + 20 && y < box.bottom - 12) label(g, box.right + 20, y + 4, short(level), { size: 10.5, color: "ink" });
  }
  if (mark.label) label(g, box.right + 12, box.top - 7, mark.label, { size: 11.5, anchor: "middle", color: "ink" });
}

// Draw one panel into an <svg>; return its scales and box, so that a host can drag on it.
export function drawPanel(svg, panel, width, height) {
  const map = panel.marks.find((m) => m.kind === "heat" || m.kind === "matrix");
  const matrix = map?.kind === "matrix";
  const ends = panel.marks.filter((m) => m.label && ["line", "points", "band", "trajectory"].includes(m.kind));
  const [xs, ys] = [extent(panel, "x"), extent(panel, "y")];
  const ticksY = matrix ? [] : panel.yscale === "log" ? logTicks(...ys, 6) : linearTicks(...ys, 5);
  const named = Math.min(0.3 * width, Math.max(10, ...ends.map((m) => wide(m.label, 11.5) + 8)));
  const left = matrix ? 8 : 12 + (panel.y ? 16 : 0) + Math.max(14, ...ticksY.map(([, text]) => wide(text, 11)));
  const box = { left, right: width - (map ? 46 : named), top: (panel.title ? 24 : 8) + (map && !panel.title ? 14 : 0), bottom: height - (matrix && !panel.x ? 10 : panel.x ? 40 : 24) };
  if (panel.aspect === "equal" || matrix) {
    const across = Math.abs(xs[1] - xs[0]), up = Math.abs(ys[1] - ys[0]);
    const unit = Math.min((box.right - box.left) / across, (box.bottom - box.top) / up);
    box.right = box.left + unit * across;
    box.top = box.bottom - unit * up;
  }
  const X = scale(panel.xscale, xs, box.left, box.right);
  const Y = scale(panel.yscale, ys, box.bottom, box.top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  const g = shape("g", {});
  const frame = { X, Y, box, base: box.bottom, xs, ys };
  const clip = `ol-clip-${(drawPanel.count = (drawPanel.count || 0) + 1)}`;
  const defs = shape("defs", {}, g);
  shape("rect", { x: box.left - 1, y: box.top - 1, width: box.right - box.left + 2, height: box.bottom - box.top + 2 }, shape("clipPath", { id: clip }, defs));
  const inner = shape("g", { "clip-path": `url(#${clip})` }, g);
  const order = ["heat", "matrix", "band", "histogram", "guide", "line", "trajectory", "points"];
  for (const mark of [...panel.marks].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))) DRAW[mark.kind](inner, mark, frame);
  if (!matrix) {
    const rule = { stroke: paint("ink"), "stroke-width": 0.8, fill: "none" };
    shape("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}`, ...rule }, g);
    const ticksX = panel.xscale === "log" ? logTicks(...xs, Math.max(2, Math.floor((box.right - box.left) / 45))) : linearTicks(...xs, Math.max(3, Math.floor((box.right - box.left) / 55)));
    for (const [value, text] of ticksX) {
      shape("path", { d: `M${pixel(X(value))},${box.bottom}v4`, ...rule }, g);
      label(g, X(value), box.bottom + 16, text, { anchor: "middle", size: 11 });
    }
    for (const [value, text] of ticksY) {
      shape("path", { d: `M${box.left},${pixel(Y(value))}h-4`, ...rule }, g);
      label(g, box.left - 7, Y(value) + 4, text, { anchor: "end", size: 11 });
    }
  }
  if (panel.x) label(g, (box.left + box.right) / 2, height - 6, panel.x, { anchor: "middle", size: fit(panel.x, box.right - box.left + 40) });
  if (panel.y) label(g, 12, (box.top + box.bottom) / 2, panel.y, { anchor: "middle", turn: -90, size: fit(panel.y, box.bottom - box.top + 16) });
  if (panel.title) label(g, matrix ? box.left : 2, 14, panel.title, { bold: true, size: 12.5 });
  if (map) colorBar(g, map, box);
  names(g, panel, frame, width);
  svg.replaceChildren(g);
  return frame;
}
