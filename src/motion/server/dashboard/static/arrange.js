// Where things of the graph stand: a lane for each table, keys from left to right by derivation, triggers between them, and
// a lane of models. Made once for each graph: what is live changes only what is written on the nodes.
const LETTER = 7.3, SMALL = 6.6;
const KEY_H = 24, TRIGGER_H = 52, GAP_X = 30, GAP_Y = 12, PAD = 16, HEAD = 44;

const textWidth = (text, letter) => Math.ceil(text.length * letter);

export function arrange(pipeline) {
  const nodes = new Map();
  const lanes = [];
  const fits = pipeline.fits.map((fit) => ({ ...fit, short: fit.name.split(".").pop() }));
  const usedKeys = new Set(pipeline.edges.flatMap((edge) => [edge.source, edge.target]).filter((each) => each.startsWith("key ")));
  const laneNames = pipeline.tables.map((table) => table.name);
  if (pipeline.triggers.some((each) => !laneNames.includes(each.table))) laneNames.push("");
  for (const name of laneNames) {
    const table = pipeline.tables.find((each) => each.name === name);
    const lane = { name, title: name || "by the clock", nodes: [], others: [] };
    for (const key of table?.keys ?? []) {
      const id = `key ${name}.${key.name}`;
      if (!usedKeys.has(id)) { lane.others.push(key.name); continue; }
      const node = { id, kind: "key", label: key.name, key, table: name, w: textWidth(key.name, LETTER) + 18, h: KEY_H, level: 0, isPaged: key.level.length > 0, isVector: key.kind.startsWith("vector") || key.kind.startsWith("np.ndarray") };
      nodes.set(id, node);
      lane.nodes.push(node);
    }
    for (const trigger of pipeline.triggers.filter((each) => (laneNames.includes(each.table) ? each.table : "") === name)) {
      const label = trigger.component ? trigger.name.slice(trigger.component.length + 1) : trigger.name;
      const node = { id: `trigger ${trigger.name}`, kind: "trigger", label, trigger, table: name, w: Math.max(140, textWidth(label, SMALL + 0.6) + 46), h: TRIGGER_H, level: 1 };
      nodes.set(node.id, node);
      lane.nodes.push(node);
    }
    lanes.push(lane);
  }
  levels(pipeline, nodes);
  const columns = widths(lanes);
  let y = 6, width = columns.end - GAP_X + PAD + 8; // what has pages has a shadow
  for (const lane of lanes) {
    lane.y = y;
    lane.h = place(lane, columns, pipeline, nodes, y + HEAD) + (lane.others.length ? 6 : 0);
    for (const node of lane.nodes) node.floor = y + lane.h - 8;
    y += lane.h + 14;
  }
  const models = placeModels(pipeline, fits, nodes, y);
  if (models) {
    lanes.push(models);
    y += models.h + 14;
    width = Math.max(width, models.end + PAD);
  }
  for (const lane of lanes) lane.w = width - 8;
  return { nodes, lanes, edges: pipeline.edges.filter((edge) => nodes.has(edge.source) && nodes.has(edge.target)), width, height: y };
}

/** Each key one behind the trigger that makes it, each trigger one behind what it runs on in its own table. */
function levels(pipeline, nodes) {
  const within = (edge) => ["fires", "reads", "sets"].includes(edge.kind) && nodes.has(edge.source) && nodes.has(edge.target) && nodes.get(edge.source).table === nodes.get(edge.target).table;
  const edges = pipeline.edges.filter(within);
  for (let round = 0; round < nodes.size; round++) {
    let moved = false;
    for (const edge of edges) {
      const from = nodes.get(edge.source), to = nodes.get(edge.target);
      if (edge.kind !== "sets" && from.id === to.id) continue;
      if (to.level <= from.level && from.level < 40) { to.level = from.level + 1; moved = true; }
    }
    if (!moved) break;
  }
  // A key that nothing runs on stands by itself behind the others: a label comes last.
  for (const node of nodes.values()) {
    if (node.kind !== "key" || node.key.made_by) continue;
    const feeds = edges.filter((edge) => edge.source === node.id);
    if (!feeds.length) {
      const last = Math.max(0, ...[...nodes.values()].filter((each) => each.table === node.table && each.kind === "key").map((each) => each.level));
      const labels = pipeline.edges.some((edge) => edge.source === node.id && edge.kind === "labels");
      node.level = labels ? last : 0;
    }
  }
}

function widths(lanes) {
  const found = [];
  for (const lane of lanes) for (const node of lane.nodes) found[node.level] = Math.max(found[node.level] ?? 0, node.w);
  const starts = [];
  let x = PAD;
  for (let level = 0; level < found.length; level++) {
    starts[level] = x;
    x += (found[level] ?? 0) + (found[level] ? GAP_X : 0);
  }
  return { starts, widths: found, end: x };
}

function place(lane, columns, pipeline, nodes, top) {
  const byLevel = [];
  for (const node of lane.nodes) (byLevel[node.level] ??= []).push(node);
  let bottom = top + KEY_H;
  for (const column of byLevel) {
    if (!column) continue;
    for (const node of column) {
      const before = pipeline.edges.filter((edge) => edge.target === node.id && ["fires", "reads", "sets"].includes(edge.kind)).map((edge) => nodes.get(edge.source)).filter((each) => each?.y !== undefined && each.table === lane.name);
      node.wish = before.length ? before.reduce((sum, each) => sum + each.y + each.h / 2, 0) / before.length : Infinity;
    }
    const settled = column.filter((node) => node.wish < Infinity).sort((a, b) => a.wish - b.wish);
    const free = column.filter((node) => node.wish === Infinity);
    let y = top;
    const height = column.reduce((sum, node) => sum + node.h + GAP_Y, -GAP_Y);
    const mean = settled.length ? settled.reduce((sum, node) => sum + node.wish, 0) / settled.length : 0;
    if (settled.length) y = Math.max(top, mean - height / 2);
    for (const node of [...settled, ...free]) {
      node.x = columns.starts[node.level];
      node.gap = node.x + columns.widths[node.level] + GAP_X / 2;
      node.y = Math.round(y);
      y += node.h + GAP_Y;
      bottom = Math.max(bottom, node.y + node.h);
    }
  }
  return bottom - top + HEAD + PAD;
}

function placeModels(pipeline, fits, nodes, y) {
  if (!pipeline.components.length) return null;
  const lane = { name: "models", title: "models", nodes: [], others: [], y, isModels: true };
  const wanted = pipeline.components.map((name) => {
    const users = pipeline.triggers.filter((each) => each.uses.includes(name)).map((each) => nodes.get(`trigger ${each.name}`)).filter(Boolean);
    return { name, at: users.length ? users.reduce((sum, each) => sum + each.x, 0) / users.length : PAD, fits: fits.filter((fit) => fit.component === name) };
  }).sort((a, b) => a.at - b.at);
  let x = PAD, bottom = 0;
  for (const each of wanted) {
    const w = Math.max(260, each.name.length * 8 + 150), h = 96;
    const node = { id: `component ${each.name}`, kind: "component", label: each.name, table: "models", x: Math.max(x, Math.min(each.at, 1e9)), y: y + HEAD, w, h, level: 0 };
    nodes.set(node.id, node);
    lane.nodes.push(node);
    x = node.x + w + GAP_X;
    let fy = y + HEAD;
    for (const fit of each.fits) {
      const box = { id: `fit ${fit.name}`, kind: "fit", label: fit.short, fit, table: "models", x, y: fy, w: Math.max(140, fit.short.length * 7.2 + 46), h: TRIGGER_H, level: 0 };
      nodes.set(box.id, box);
      lane.nodes.push(box);
      fy += TRIGGER_H + GAP_Y;
      bottom = Math.max(bottom, fy - GAP_Y);
    }
    if (each.fits.length) x += Math.max(...each.fits.map((fit) => Math.max(140, fit.short.length * 7.2 + 46))) + GAP_X;
    bottom = Math.max(bottom, node.y + h);
  }
  lane.h = bottom - y + PAD;
  lane.end = x - GAP_X;
  return lane;
}

const middleY = (node) => node.y + node.h / 2;

/** Whether a line straight down would run through a node. */
const isCrossed = (nodes, x, from, to) => [...nodes.values()].some((each) => each.x < x && x < each.x + each.w && from < each.y + each.h && each.y < to);

/** The line of an edge, and the tip of its arrow with the way it points. */
export function course(edge, nodes, spread = 0) {
  const a = nodes.get(edge.source), b = nodes.get(edge.target);
  if (edge.kind === "uses") {
    const x1 = Math.min(Math.max(b.x + b.w / 2, a.x + 14), a.x + a.w - 14), x2 = b.x + Math.min(24 + spread, b.w / 2);
    const turn = a.y - 14 - spread, end = b.y + b.h;
    if (!isCrossed(nodes, x2, end, turn)) return { path: `M${x1} ${a.y}V${turn}H${x2}V${end}`, tip: null };
    return { path: `M${x1} ${a.y}V${turn}H${b.gap - spread}V${end + 6}H${b.x + b.w - 14 - spread}V${end}`, tip: null }; // between the columns
  }
  if (edge.kind === "labels") {
    const x1 = a.x + a.w / 2, y1 = a.y + a.h, x2 = b.x + b.w, y2 = middleY(b);
    const out = Math.max(x1, x2 + 40);
    return { path: `M${x1} ${y1}C${x1} ${(y1 + y2) / 2} ${out} ${y2} ${x2} ${y2}`, tip: [x2, y2, "left"] };
  }
  if (edge.kind === "fits") return { path: `M${a.x} ${middleY(a)}H${b.x + b.w}`, tip: [b.x + b.w, middleY(a), "left"] };
  if (a.table !== b.table || edge.kind === "searches") {
    const down = b.y > a.y, x1 = a.x + a.w / 2, x2 = b.x + b.w / 2 + spread;
    const y1 = down ? a.y + a.h : a.y, y2 = down ? b.y : b.y + b.h;
    // Straight to the floor of the upper lane first: a slant would run behind what stands there.
    const [upper, x] = down ? [a, x1] : [b, x2], top = upper.y + upper.h;
    const floor = upper.floor > top && !isCrossed(nodes, x, top, upper.floor) ? upper.floor : top;
    const from = down ? floor : y1, to = down ? y2 : floor, mid = (from + to) / 2;
    return { path: `M${x1} ${y1}V${from}C${x1} ${mid} ${x2} ${mid} ${x2} ${to}V${y2}`, tip: [x2, y2, down ? "down" : "up"] };
  }
  const y1 = middleY(a) + (a.kind === "trigger" ? spread : 0), y2 = middleY(b) + (b.kind === "trigger" ? spread : 0);
  const x1 = a.x + a.w, x2 = b.x;
  if (x2 <= x1) {
    const low = Math.max(a.y + a.h, b.y + b.h) + 8;
    return { path: `M${x1} ${y1}C${x1 + 24} ${y1} ${x1 + 24} ${low} ${(x1 + x2) / 2} ${low}S${x2 - 24} ${y2} ${x2} ${y2}`, tip: [x2, y2, "right"] };
  }
  const bend = Math.max(12, (x2 - x1) / 2);
  return { path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, tip: [x2, y2, "right"] };
}

export function arrow([x, y, way]) {
  const d = { right: `M${x - 5} ${y - 3.5}L${x} ${y}l-5 3.5`, left: `M${x + 5} ${y - 3.5}L${x} ${y}l5 3.5`, down: `M${x - 3.5} ${y - 5}L${x} ${y}l3.5-5`, up: `M${x - 3.5} ${y + 5}L${x} ${y}l3.5 5` };
  return d[way];
}

/** All that leads to a node, and all that follows from it. */
export function related(id, edges) {
  const found = new Set([id]);
  for (const [from, to] of [["source", "target"], ["target", "source"]]) {
    let fresh = [id];
    const seen = new Set(fresh);
    while (fresh.length) {
      fresh = edges.filter((edge) => fresh.includes(edge[from])).map((edge) => edge[to]).filter((each) => !seen.has(each) && seen.add(each));
    }
    for (const each of seen) found.add(each);
  }
  return found;
}
