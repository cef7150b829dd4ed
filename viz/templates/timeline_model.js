// The trace in the browser: columns, lanes, and exact sums over a span of time.
// The sums repeat viz/timeline_totals.py; a browser test compares the two.
// Nothing is drawn here. Times are ns of virtual time (exact: below 2^53).

const ARRAYS = {u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, u8: BigUint64Array,
  f8: Float64Array};
const ABSENT = 0, READY = 1, BLOCKED = 2, RUN = 3, UNKNOWN = 4;
const NOBODY = 0xffff, LOST = 0xfffe, HOST = 0xfffd;   // states of a pCPU; the others are VMs
const STATE_WORDS = ["does not exist", "ready", "blocked", "run", "unknown"];

// First place in the sorted `list` whose value is not below `value`.
function lowerBound(list, value, low = 0, high = list.length) {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function readColumns(index, text) {
  if (typeof DecompressionStream === "undefined")
    throw new Error("this browser lacks DecompressionStream: Chromium 80, Firefox 113 or later");
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const columns = new Map();
  for (const [name, kind, offset, count] of index)
    columns.set(name, new ARRAYS[kind](buffer, offset, count));
  return columns;
}

// Spans without gaps: state[i] from edge[i] to edge[i + 1], set by record at[i].
class Lane {
  constructor(ns, end, at, state) {
    this.at = at;
    this.state = state;
    this.edge = new Float64Array(at.length + 1);
    for (let i = 0; i < at.length; i++) this.edge[i] = ns[at[i]];
    this.edge[at.length] = end;
    this.sums = new Map();
  }

  // The span that holds time t, -1 before the first.
  find(t) {
    const i = lowerBound(this.edge, t);
    return Math.min(this.edge[i] === t ? this.lastAt(i) : i - 1, this.state.length - 1);
  }

  // Spans of no length share an edge: the last of them counts.
  lastAt(i) {
    while (i + 1 < this.state.length && this.edge[i + 1] === this.edge[i]) i++;
    return i;
  }

  before(state) {
    if (!this.sums.has(state)) {
      const sum = new Float64Array(this.edge.length);
      for (let i = 0; i < this.state.length; i++)
        sum[i + 1] = sum[i] + (this.state[i] === state ? this.edge[i + 1] - this.edge[i] : 0);
      this.sums.set(state, sum);
    }
    return this.sums.get(state);
  }

  // Time spent in `state` before t.
  timeIn(state, t) {
    const i = this.find(t);
    if (i < 0) return 0;
    const inside = this.state[i] === state ? Math.min(t, this.edge[i + 1]) - this.edge[i] : 0;
    return this.before(state)[i] + inside;
  }
}

class Model {
  constructor(facts, columns) {
    this.facts = facts;
    this.columns = columns;
    this.start = facts.start;
    this.end = facts.end;
    this.event = columns.get("event");
    this.vm = columns.get("vm");
    this.pcpu = columns.get("pcpu");
    this.count = this.event.length;
    this.number = {};
    for (const [number, event] of Object.entries(facts.events)) this.number[event.name] = +number;
    this.readTimes(columns.get("step"));
    this.readRows();
    this.lanes = facts.vms.map(({vm, name}) => this.vmLane(vm, name));
    this.pcpus = facts.pcpus.map(cpu => ({cpu, lane: this.lane(`pcpu${cpu}`)}));
    this.collect();
    this.strip = findStrip(this);
  }

  readTimes(step) {
    this.ns = new Float64Array(this.count);
    let now = this.start;
    for (let i = 0; i < this.count; i++) this.ns[i] = now += Number(step[i]);
  }

  // row[i]: the place of record i in the columns of its event.
  readRows() {
    const seen = new Uint32Array(65536);
    this.row = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) this.row[i] = seen[this.event[i]]++;
    this.perEvent = seen;
  }

  lane(name) {
    return new Lane(this.ns, this.end, this.columns.get(name + ".at"),
      this.columns.get(name + ".state"));
  }

  vmLane(vm, name) {
    return {vm, name, lane: this.lane(`vm${vm}`), asked: this.columns.get(`asked${vm}`),
      exits: this.facts.reasons.map(() => []), ticks: this.facts.ticks.map(() => []), life: []};
  }

  // Record numbers of each VM's exits by reason, ticks by kind, scheduling and life.
  collect() {
    const of = new Map(this.lanes.map(lane => [lane.vm, lane]));
    const life = new Set(["sched_pick", "sched_block", "sched_wake", "vm_create", "vm_end"]
      .map(name => this.number[name]));
    const tick = new Map(this.facts.ticks.map((kind, k) => [this.number["timer_" + kind], k]));
    const place = this.reasonPlaces();
    for (let i = 0; i < this.count; i++) {
      const lane = of.get(this.vm[i]), event = this.event[i];
      if (!lane) continue;
      if (event === this.number.exit) lane.exits[place(i)].push(i);
      else if (tick.has(event)) lane.ticks[tick.get(event)].push(i);
      else if (life.has(event)) lane.life.push(i);
    }
    for (const lane of this.lanes) {
      lane.exits = lane.exits.map(list => Uint32Array.from(list));
      lane.ticks = lane.ticks.map(list => Uint32Array.from(list));
      lane.tickSums = lane.ticks.map(list => this.sums(list, "ticks"));
    }
  }

  reasonPlaces() {
    const values = this.columns.get(`${this.number.exit}.reason`);
    const place = new Map();
    return i => {
      const value = values ? values[this.row[i]] : 0;
      if (!place.has(value))
        place.set(value, this.facts.reasons.indexOf(this.show("exit_reason", value)));
      return place.get(value);
    };
  }

  // Running sums of a field over a list of records.
  sums(list, field) {
    const result = new Float64Array(list.length + 1);
    list.forEach((i, k) => { result[k + 1] = result[k] + Number(this.field(i, field)); });
    return result;
  }

  // The raw value of a field of record i: a number, or a BigInt where the column is wide.
  field(i, name) {
    const column = this.columns.get(`${this.event[i]}.${name}`);
    return column ? column[this.row[i]] : 0;
  }

  // The same as a number with a sign, for fields of type int.
  signed(i, name) {
    return Number(BigInt.asIntN(64, BigInt(this.field(i, name))));
  }

  word(i, name) {
    const [, type] = this.facts.events[this.event[i]].fields.find(f => f[0] === name) ?? [];
    return type === undefined ? "" : this.show(type, this.field(i, name));
  }

  show(type, value) {
    const words = this.facts.enums[type];
    if (words) return words[value] ?? String(value);
    if (type === "bool") return value ? "yes" : "no";
    if (type === "int") return String(BigInt.asIntN(64, BigInt(value)));
    if (type === "ns") return showTime(Number(value), 9);
    return /^(hex|g.a|hpa)$/.test(type) ? "0x" + value.toString(16) : String(value);
  }

  text(i) {
    const column = this.columns.get(`${this.event[i]}.text`);
    return column ? this.facts.strings[column[this.row[i]]] : "";
  }

  // Record i in one line: its fields and its text.
  details(i) {
    const event = this.facts.events[this.event[i]];
    if (!event) return "";
    const parts = event.fields.map(([name]) => `${name}=${this.word(i, name)}`);
    if (event.text) parts.push(this.text(i));
    return parts.join("  ");
  }

  eventName(i) {
    return this.facts.events[this.event[i]]?.name ?? `unknown_${this.event[i]}`;
  }

  // Why the decision of sched_pick record i was taken, in words.
  decision(i) {
    const chosen = this.vm[i] ? `VM ${this.vm[i]}` : "idle";
    const other = Number(this.field(i, "other"));
    const {what, show} = keyWords(this, i);
    const keys = other ? `${what} ${show("key")} against VM ${other}'s ${show("other_key")}` +
      " (the lower runs)" : `${what} ${show("key")}, no other VM was to compare`;
    return `${chosen} chosen at ${showTime(this.ns[i], 9)}\nwhy: ${this.word(i, "why")}` +
      `\ncompared: ${keys}\nbefore: ${Number(this.field(i, "prev")) ? "VM " + this.field(i, "prev")
        : "idle"}; ready: ${this.field(i, "runnable")}\nuntil ${this.word(i, "until")} at most`;
  }

  // The records of start <= t < end; a span up to the trace's end includes the last moment.
  records(start, end) {
    return [lowerBound(this.ns, start),
      end >= this.end ? this.count : lowerBound(this.ns, end)];
  }

  asked(lane, t) {
    const edge = this.columns.get("asked"), sum = lane.asked;
    const i = Math.max(0, Math.min(edge.length - 2, lowerBound(edge, t) - 1));
    if (edge.length < 2 || t <= edge[0]) return 0;
    const part = Math.min(1, (t - edge[i]) / (edge[i + 1] - edge[i]));
    return sum[i] + part * (sum[i + 1] - sum[i]);
  }

  totals(start, end) {
    const [low, high] = this.records(start, end);
    const capacity = this.decided(start, end);
    const inside = list => lowerBound(list, high) - lowerBound(list, low);
    const rows = this.lanes.map(lane => {
      const spent = state => lane.lane.timeIn(state, end) - lane.lane.timeIn(state, start);
      const share = capacity ? spent(RUN) / capacity : null;
      const asked = capacity ? (this.asked(lane, end) - this.asked(lane, start)) / capacity : null;
      return {vm: lane.vm, name: lane.name, run: spent(RUN), ready: spent(READY),
        blocked: spent(BLOCKED), share, asked, error: asked ? (share - asked) / asked : null,
        exits: Object.fromEntries(lane.exits.map((list, k) => [this.facts.reasons[k], inside(list)])
          .filter(([, n]) => n)),
        ticks: Object.fromEntries(lane.ticks.map((list, k) => [this.facts.ticks[k],
          lane.tickSums[k][lowerBound(list, high)] - lane.tickSums[k][lowerBound(list, low)]]))};
    });
    const contested = this.contested(rows);
    return rows.map(row => ({...row, contested}));
  }

  // As timeline_totals.py: an error says something only where no VM gave up its share.
  contested(rows) {
    const asking = rows.filter(row => row.asked);
    const lives = asking.map(row => row.run + row.ready + row.blocked);
    return asking.length > 1 && Math.min(...lives) >= 0.9 * Math.max(...lives) &&
      asking.every((row, k) => row.blocked <= 0.02 * lives[k]);
  }

  // Time that the pCPUs spent in a state: 0 idle, HOST, NOBODY, LOST.
  spent(state, start, end) {
    return this.pcpus.reduce((sum, {lane}) =>
      sum + lane.timeIn(state, end) - lane.timeIn(state, start), 0);
  }

  // Time, over all pCPUs, for which a decision of the scheduler holds.
  decided(start, end) {
    return (end - start) * this.pcpus.length - this.spent(NOBODY, start, end) -
      this.spent(LOST, start, end);
  }

  // Whether the run recorded this group of events (see viz/recorded.py).
  has(group) {
    return !this.facts.leftOut.includes(group);
  }
}

function showTime(ns, digits = 5) {
  for (const [scale, unit] of [[1e9, "s"], [1e6, "ms"], [1e3, "us"], [1, "ns"]]) {
    if (Math.abs(ns) < scale) continue;
    const value = ns / scale;
    const places = Math.max(0, digits - String(Math.trunc(Math.abs(value))).length);
    return value.toLocaleString("en-US", {maximumFractionDigits: places}) + " " + unit;
  }
  return ns ? ns.toPrecision(3) + " ns" : "0";
}

function showPercent(fraction, sign = false) {
  if (fraction === null) return "unknown";
  const tenths = Math.round(fraction * 1000) / 10 || 0;
  return (sign && tenths > 0 ? "+" : "") + tenths.toFixed(1) + " %";
}
