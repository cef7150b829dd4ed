// What the scheduler knows of each VM, as a strip below its lane: credits and priority,
// virtual time and warp, or what is left of a slice and the deadlines. From the records
// sched_credit, sched_bvt and sched_sedf, each of which holds until the VM's next one.

const STRIP_H = 30, STRIP_ROOM = 40, DEADLINE_H = 6;
const KEY_WORDS = {rr: "turn", bvt: "effective virtual time", credit: "priority"};
const PRIORITIES = ["BOOST", "UNDER", "OVER"];

// value: what is drawn; band: a colour of the theme (null: none); label: at the left;
// onlyRunning: the band says how it runs, so it ends with the run.
const STRIPS = {
  credit: {label: "credits", range: () => [-300, 300], zero: true,
    value: (m, i) => m.signed(i, "credit"),
    band: (m, i) => Number(m.field(i, "parked")) ? "bad" : ["good", "line", "warn"][m.field(i, "pri")],
    bands: [["BOOST", "good"], ["UNDER", "line"], ["OVER", "warn"], ["parked", "bad"]]},
  bvt: {label: "evt - svt", range: null, zero: true,
    value: (m, i) => m.signed(i, "evt") - m.signed(i, "svt"),
    band: (m, i) => Number(m.field(i, "warped")) ? "warn" : null,
    bands: [["warped", "warn"]]},
  sedf: {label: "slice left", range: null, zero: false, deadline: true, onlyRunning: true,
    value: (m, i) => Math.max(0, Number(m.field(i, "slice")) - Number(m.field(i, "used"))),
    band: (m, i) => [null, "line", "good", "warn"][m.field(i, "as")],
    bands: [["runs by its slice", "line"], ["extra time L0", "good"], ["extra time L1", "warn"]]},
};

// Of a model: {name, kind, low, high}, or null if the run has no such records.
function findStrip(model) {
  const name = model.facts.scheduler, kind = STRIPS[name], number = model.number["sched_" + name];
  if (!kind || !model.perEvent[number]) return null;
  for (const lane of model.lanes) lane.known = [];
  const of = new Map(model.lanes.map(lane => [lane.vm, lane]));
  let [low, high] = [0, 0];
  for (let i = 0; i < model.count; i++) {
    const lane = model.event[i] === number && of.get(model.vm[i]);
    if (!lane) continue;
    lane.known.push(i);
    const value = kind.value(model, i);
    [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  return {name, kind, number, low: kind.range ? kind.range()[0] : low,
    high: kind.range ? kind.range()[1] : Math.max(high, low + 1)};
}

// The strip of one lane, its top at y.
function drawStrip(plot, row, y) {
  const {model, state} = plot, {kind} = model.strip, color = plot.vmColor(row.vm);
  plot.text(kind.label, LEFT - 8, y + STRIP_H / 2, plot.colors.muted, 9, "", "right");
  plot.box(LEFT, y, plot.width, STRIP_H, plot.colors.panel);
  const low = Math.max(0, lowerBound(row.known, plot.first[0]) - 1);
  const high = lowerBound(row.known, plot.first[plot.first.length - 1]);
  if (high - low > plot.width / FEW) stripColumns(plot, row.known, low, high, y, color);
  else stripSteps(plot, row, low, high, y, color);
  if (kind.zero) plot.box(LEFT, stripY(model.strip, 0, y), plot.width, 0.5, plot.colors.muted);
  if (kind.deadline) drawDeadlines(plot, row.known, low, high, y, state);
}

function stripY({low, high}, value, y) {
  return y + 1 + (STRIP_H - 3) * (1 - (Math.min(high, Math.max(low, value)) - low) / (high - low));
}

// When the run that a VM is in at t ends; t if it is in none.
function runEnd(lane, t) {
  const i = lane.find(t);
  return i >= 0 && lane.state[i] === RUN ? lane.edge[i + 1] : t;
}

function stripSteps(plot, row, low, high, y, color) {
  const {model} = plot, {kind} = model.strip, list = row.known;
  for (let k = low; k < high; k++) {
    const end = k + 1 < list.length ? model.ns[list[k + 1]] : model.end;
    const left = Math.max(LEFT, plot.x(model.ns[list[k]]));
    const right = Math.min(LEFT + plot.width, plot.x(end)), band = kind.band(model, list[k]);
    if (right < left) continue;
    const runs = kind.onlyRunning ? plot.x(runEnd(row.lane, model.ns[list[k]])) : right;
    const until = Math.min(right, runs);
    if (band && until > left) plot.box(left, y, until - left, STRIP_H, plot.colors[band], 0.35);
    plot.box(left, stripY(model.strip, kind.value(model, list[k]), y), Math.max(1, right - left),
      2, color);
  }
}

// Zoomed out: from the lowest to the highest value of each column.
function stripColumns(plot, list, low, high, y, color) {
  const {model} = plot, {kind} = model.strip;
  plot.aggregated.push(`${kind.label} of VM ${model.vm[list[low]]}`);
  const least = new Map(), most = new Map();
  for (let k = low; k < high; k++) {
    const x = Math.max(LEFT, Math.floor(plot.x(model.ns[list[k]])));
    const value = kind.value(model, list[k]);
    least.set(x, Math.min(least.get(x) ?? value, value));
    most.set(x, Math.max(most.get(x) ?? value, value));
  }
  for (const [x, value] of most) {
    const top = stripY(model.strip, value, y), bottom = stripY(model.strip, least.get(x), y);
    plot.box(x, top, 1, Math.max(1.5, bottom - top), color);
  }
}

// A line at each deadline, if they can be told apart.
function drawDeadlines(plot, list, low, high, y, {start, end}) {
  const times = new Set();
  for (let k = low; k < high; k++) times.add(Number(plot.model.field(list[k], "deadline")));
  const shown = [...times].filter(t => t >= start && t <= end);
  if (shown.length > plot.width / 6) return;
  for (const t of shown) plot.box(plot.x(t) - 0.75, y - DEADLINE_H, 1.5, STRIP_H + DEADLINE_H,
    plot.colors.bad);
}

// What the scheduler knows of a VM at time t, in words.
function knownAt(model, row, t) {
  if (!model.strip) return "";
  const k = lowerBound(row.known, lowerBound(model.ns, t + 1)) - 1;
  if (k < 0) return "";
  const i = row.known[k];
  return `known since ${showTime(model.ns[i], 9)}: ${model.details(i)}`;
}

// The keys of decision i in words: what is compared, and how large.
function keyWords(model, i) {
  const name = model.facts.scheduler;
  const mine = model.event[i + 1] === model.strip?.number && model.vm[i + 1] === model.vm[i];
  const by = name === "sedf" ? (mine ? model.word(i + 1, "as") : "EDF") : "";
  const show = value => name === "credit" ? PRIORITIES[value] ?? String(value)
    : by === "EDF" ? showTime(value, 9) : String(value);
  const what = by ? (by === "EDF" ? "deadline" : `score in extra time ${by}`)
    : KEY_WORDS[name] ?? "key";
  return {what, show: field => show(model.signed(i, field))};
}
