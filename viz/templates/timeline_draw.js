// Draws a span of the model on a canvas. A lane with more spans or events in view
// than fit is drawn as occupancy or density of each pixel column, from exact sums,
// so zooming out leaves nothing out. What was aggregated is returned, to be said.
// No input is handled here.

const LEFT = 128, RIGHT = 150, OVERVIEW = 22, AXIS = 26, VM_H = 98, CPU_H = 56;
const STATE_Y = 8, STATE_H = 30, EXIT_Y = 43, EXIT_H = 20, TICK_Y = 67, TICK_H = 7, TICK_STEP = 10;
const CPU_Y = 18, CPU_BAR = 26, FEW = 3;   // FEW: pixels a mark needs to be drawn alone
const LEAST = 0.3;                          // of the height of a row of ticks: a single one

class Plot {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
    this.context = canvas.getContext("2d");
    this.laneH = VM_H + (model.strip ? STRIP_ROOM : 0);
    this.height = OVERVIEW + AXIS + model.lanes.length * this.laneH + model.pcpus.length * CPU_H + 8;
    this.right = RIGHT;
  }

  // Draw state = {start, end, selection, markers, chosen}; dark or light.
  draw(state, dark) {
    this.colors = this.model.facts.colors[dark ? "dark" : "light"];
    this.state = state;
    this.aggregated = [];
    this.resize();
    this.columns();
    this.overview();
    this.axis();
    let y = OVERVIEW + AXIS;
    this.model.lanes.forEach((lane, i) => this.vmLane(lane, this.totals[i], y + i * this.laneH));
    y += this.model.lanes.length * this.laneH;
    this.model.pcpus.forEach((pcpu, i) => this.pcpuLane(pcpu, y + i * CPU_H));
    this.overlay();
    return this.aggregated;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, width = this.canvas.clientWidth || 900;
    this.right = width > 820 ? RIGHT : 8;
    this.width = Math.max(50, width - LEFT - this.right);
    this.canvas.style.height = this.height + "px";
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.fillStyle = this.colors.page;
    this.context.fillRect(0, 0, width, this.height);
    this.context.textBaseline = "middle";
  }

  // Once for all lanes: time and first record of each pixel column.
  columns() {
    const {start, end} = this.state, n = Math.floor(this.width);
    this.time = new Float64Array(n + 1);
    this.first = new Uint32Array(n + 1);
    for (let x = 0; x <= n; x++) {
      this.time[x] = start + (end - start) * x / n;
      this.first[x] = lowerBound(this.model.ns, this.time[x], x ? this.first[x - 1] : 0);
    }
    if (end >= this.model.end) this.first[n] = this.model.count;
    this.totals = this.model.totals(start, end);
  }

  x(t) {
    return LEFT + (t - this.state.start) / (this.state.end - this.state.start) * this.width;
  }

  timeAt(x) {
    const part = Math.min(1, Math.max(0, (x - LEFT) / this.width));
    return this.state.start + part * (this.state.end - this.state.start);
  }

  // What lies at height y: a VM lane with its strip, a pCPU, the overview or null.
  laneAt(y) {
    if (y < OVERVIEW) return {overview: true};
    let top = OVERVIEW + AXIS;
    const i = Math.floor((y - top) / this.laneH);
    if (i >= 0 && i < this.model.lanes.length) {
      const inside = y - top - i * this.laneH;
      const strip = inside >= VM_H ? "known" : inside < EXIT_Y - 2 ? "states" : inside < TICK_Y - 2 ? "exits" : "ticks";
      return {vm: this.model.lanes[i], strip};
    }
    top += this.model.lanes.length * this.laneH;
    const k = Math.floor((y - top) / CPU_H);
    return k >= 0 && k < this.model.pcpus.length ? {pcpu: this.model.pcpus[k]} : null;
  }

  text(text, x, y, color = this.colors.ink, size = 11, weight = "", align = "left") {
    this.context.fillStyle = color;
    this.context.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
    this.context.textAlign = align;
    this.context.fillText(text, x, y);
  }

  box(x, y, w, h, color, alpha = 1) {
    this.context.globalAlpha = alpha;
    this.context.fillStyle = color;
    this.context.fillRect(x, y, w, h);
    this.context.globalAlpha = 1;
  }

  vmColor(vm) {
    return vm ? this.colors.vms[(vm - 1) % this.colors.vms.length] : this.colors.muted;
  }

  // What fills the VM's spans: past the last colour they repeat with a hatch.
  vmFill(vm) {
    const color = this.vmColor(vm), round = Math.ceil(vm / this.colors.vms.length);
    if (round < 2) return color;
    const tile = document.createElement("canvas"), side = Math.max(4, 14 - 4 * round);
    tile.width = tile.height = side;
    const pen = tile.getContext("2d");
    pen.fillStyle = color;
    pen.fillRect(0, 0, side, side);
    pen.strokeStyle = this.colors.page;
    for (const x of [-side, 0, side]) {
      pen.moveTo(x, side);
      pen.lineTo(x + side, 0);
    }
    pen.stroke();
    return this.context.createPattern(tile, "repeat");
  }

  overview() {
    const {model} = this, span = Math.max(1, model.end - model.start), n = Math.floor(this.width);
    this.text("whole trace", LEFT - 8, OVERVIEW / 2, this.colors.muted, 10, "", "right");
    this.box(LEFT, 3, n, OVERVIEW - 6, this.colors.panel);
    const lane = model.pcpus[0]?.lane;
    if (lane) {
      const time = Float64Array.from({length: n + 1}, (_, x) => model.start + span * x / n);
      this.stacked(lane, time, this.vmStyles(), 3, OVERVIEW - 6);
    }
    const left = LEFT + (this.state.start - model.start) / span * n;
    const right = LEFT + (this.state.end - model.start) / span * n;
    this.box(LEFT, 3, left - LEFT, OVERVIEW - 6, this.colors.page, 0.7);
    this.box(right, 3, LEFT + n - right, OVERVIEW - 6, this.colors.page, 0.7);
    this.context.strokeStyle = this.colors.ink;
    this.context.strokeRect(left - 0.5, 2.5, Math.max(2, right - left) + 1, OVERVIEW - 5);
  }

  axis() {
    const {start, end} = this.state, y = OVERVIEW + AXIS;
    const rough = (end - start) / Math.max(3, this.width / 130);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].find(k => k * power >= rough) * power);
    if (this.right > 100)
      this.text("in view", LEFT + this.width + 12, OVERVIEW / 2, this.colors.muted, 10);
    for (let t = Math.ceil(start / step) * step; t <= end; t += step) {
      this.box(this.x(t), y - 5, 1, this.height - y, this.colors.line);
      const label = showTime(t, 1 + Math.ceil(Math.log10(Math.max(10, t / step * 10))));
      const half = label.length * 3;
      if (this.x(t) + half < LEFT + this.width + this.right)
        this.text(label, this.x(t), y - 13, this.colors.muted, 11, "", "center");
    }
  }

  vmLane(row, totals, y) {
    const color = this.vmColor(row.vm);
    this.box(0, y, LEFT + this.width + this.right, 1, this.colors.line);
    this.text(`VM ${row.vm}`, 10, y + STATE_Y + 7, color, 13, "bold");
    this.text(clip(row.name, 11), 10, y + STATE_Y + 24);
    this.text("exits", LEFT - 8, y + EXIT_Y + EXIT_H / 2, this.colors.muted, 9, "", "right");
    const styles = [[RUN, this.vmFill(row.vm), 1, 1], [READY, color, 0.25, 1],
      [BLOCKED, this.colors.muted, 0.55, 0.3]];
    this.lane(row.lane, styles, y + STATE_Y, STATE_H, `states of VM ${row.vm}`);
    this.unknown(row.lane, UNKNOWN, y + STATE_Y, STATE_H);
    if (this.model.has("exits")) this.exits(row, y + EXIT_Y);
    else this.text("not recorded", LEFT + 6, y + EXIT_Y + EXIT_H / 2, this.colors.muted, 10);
    this.ticks(row, y + TICK_Y);
    if (this.model.strip) drawStrip(this, row, y + VM_H + 3);
    const ends = this.life(row, y);
    if (this.right > 100) this.margin(totals, ends, y, color);
  }

  margin(totals, ends, y, color) {
    const x = LEFT + this.width + 12;
    const known = totals.share !== null;
    this.text(known ? showPercent(totals.share) + " of the CPU" : "share unknown", x, y + 15, color,
      12, "bold");
    if (known && totals.asked && totals.contested) {
      this.text(`asked ${showPercent(totals.asked)}`, x, y + 32);
      this.text(`error ${showPercent(totals.error, true)}`, x, y + 46);
    }
    const exits = Object.values(totals.exits).reduce((a, b) => a + b, 0);
    const lines = this.model.has("exits") ? [counted(exits, "exit")] : [];
    const {due, delivered, dropped} = totals.ticks;
    if (due + delivered + dropped) {
      lines.push(counted(due, "tick") + " due");
      const lost = dropped ? `, ${counted(dropped)} dropped` : "";
      lines.push(`${counted(delivered)} delivered${lost}`);
    }
    if (ends > 1) lines.push(`ended ${counted(ends)} times`);
    lines.slice(0, 3).forEach((line, k) =>
      this.text(line, x, y + 61 + 14 * k, this.colors.muted, 10.5));
  }

  // Spans one by one, or occupancy of each column. styles: [state, color, alpha, part of h].
  lane(lane, styles, y, h, what) {
    const first = Math.max(0, lane.find(this.state.start)), last = lane.find(this.state.end);
    if (last - first > this.width / FEW) {
      this.aggregated.push(what);
      this.stacked(lane, this.time, styles, y, h);
      return;
    }
    const style = new Map(styles.map(s => [s[0], s]));
    for (let i = first; i <= last; i++) {
      const found = style.get(lane.state[i]);
      if (!found) continue;
      const left = Math.max(LEFT, this.x(lane.edge[i]));
      const right = Math.min(LEFT + this.width, this.x(lane.edge[i + 1]));
      const [, color, alpha, part] = found;
      this.box(left, y + h * (1 - part), Math.max(0.5, right - left), h * part, color, alpha);
    }
  }

  stacked(lane, time, styles, y, h) {
    const n = time.length - 1, below = new Float64Array(n);
    for (const [state, color, alpha] of styles) {
      let before = lane.timeIn(state, time[0]);
      for (let x = 0; x < n; x++) {
        const after = lane.timeIn(state, time[x + 1]);
        const part = (after - before) / (time[x + 1] - time[x]) * h;
        if (part > 0) this.box(LEFT + x, y + h - below[x] - part, 1, part, color, alpha);
        below[x] += part;
        before = after;
      }
    }
  }

  unknown(lane, code, y, h) {
    lane.state.forEach((state, i) => {
      if (state !== code) return;
      const left = Math.max(LEFT, this.x(lane.edge[i]));
      const right = Math.min(LEFT + this.width, this.x(lane.edge[i + 1]));
      for (let x = left; x < right; x += 6) this.box(x, y, 1, h, this.colors.muted);
      if (right - left < 70) return;
      this.box(left + 3, y + h / 2 - 8, 54, 16, this.colors.page);
      this.text("unknown", left + 8, y + h / 2, this.colors.bad);
    });
  }

  // Density of lists of records: one line each when few, else log height of the count.
  exits(row, y) {
    const lists = row.exits.map(list => this.cut(list)), colors = this.colors.exits;
    const total = lists.reduce((sum, [low, high]) => sum + high - low, 0);
    const color = k => colors[Math.min(k, colors.length - 1)];
    if (total <= this.width / FEW) {
      row.exits.forEach((list, k) => this.lines(list, lists[k], color(k), y, EXIT_H));
      return;
    }
    this.aggregated.push(`exits of VM ${row.vm}`);
    const counts = row.exits.map(list => this.perColumn(list));
    const all = this.time.slice(1).map((_, x) => counts.reduce((sum, c) => sum + c[x], 0));
    const most = Math.log1p(all.reduce((a, b) => Math.max(a, b), 0));
    const below = new Float64Array(all.length);
    counts.forEach((count, k) => all.forEach((sum, x) => {
      const part = count[x] ? EXIT_H * Math.log1p(sum) / most * count[x] / sum : 0;
      if (part) this.box(LEFT + x, y + EXIT_H - below[x] - part, 1, part, color(k));
      below[x] += part;
    }));
  }

  cut(list) {
    return [lowerBound(list, this.first[0]), lowerBound(list, this.first[this.first.length - 1])];
  }

  perColumn(list) {
    const n = this.first.length - 1, result = new Uint32Array(n);
    let low = lowerBound(list, this.first[0]);
    for (let x = 0; x < n && low < list.length; x++) {
      const high = lowerBound(list, this.first[x + 1], low);
      result[x] = high - low;
      low = high;
    }
    return result;
  }

  // Ticks, not records: one record may hold many.
  ticksPerColumn(row, k) {
    const before = [...this.first].map(i => row.tickSums[k][lowerBound(row.ticks[k], i)]);
    return before.slice(1).map((n, x) => n - before[x]);
  }

  lines(list, [low, high], color, y, h) {
    for (let k = low; k < high; k++) this.box(this.x(this.model.ns[list[k]]), y, 1.3, h, color);
  }

  // Three rows: ticks due, delivered, dropped.
  ticks(row, y) {
    if (!row.ticks.some(list => list.length)) return;
    const colors = [this.colors.ink, this.colors.good, this.colors.bad];
    const cuts = row.ticks.map(list => this.cut(list));
    const few = cuts.every(([low, high]) => high - low <= this.width / FEW);
    if (!few) this.aggregated.push(`ticks of VM ${row.vm}`);
    const counts = few ? [] : row.ticks.map((list, k) => this.ticksPerColumn(row, k));
    const most = Math.max(1, ...counts.map(c => c.reduce((a, b) => Math.max(a, b), 0)));
    row.ticks.forEach((list, k) => {
      const top = y + k * TICK_STEP;
      this.text(["due", "delivered", "dropped"][k], LEFT - 8, top + TICK_H / 2, colors[k], 9, "",
        "right");
      if (few) this.lines(list, cuts[k], colors[k], top, TICK_H);
      else counts[k].forEach((n, x) => {
        const high = TICK_H * (LEAST + (1 - LEAST) * Math.log1p(n) / Math.log1p(most));
        if (n) this.box(LEFT + x, top + TICK_H - high, 1, high, colors[k]);
      });
    });
  }

  // Lines where the VM was created and where it ended; short ones above when there are many.
  life(row, y) {
    const {start, end} = this.state;
    const marks = this.model.facts.marks.filter(({vm, ns}) =>
      (!vm || vm === row.vm) && ns >= start && ns <= end);
    const many = marks.length > this.width / 20;
    let last = -1;
    for (const {ns, kind} of marks) {
      const x = Math.round(this.x(ns));
      if (x === last) continue;
      last = kind === "create" ? -1 : x;
      const color = kind === "create" ? this.colors.muted : this.colors.bad;
      const height = many && kind !== "panic" ? STATE_Y - 3 : VM_H - 6;
      this.box(x - 0.5, y + 3, kind === "panic" ? 2 : 1, height, color);
    }
    return marks.filter(({kind}) => kind === "end").length;
  }

  vmStyles() {
    return [...this.model.lanes.map(({vm}) => [vm, this.vmFill(vm), 1, 1]),
      [HOST, this.colors.muted, 1, 0.5]];
  }

  pcpuLane({cpu, lane}, y) {
    this.box(0, y, LEFT + this.width + this.right, 1, this.colors.line);
    this.text(`pCPU ${cpu}`, 10, y + CPU_Y + 6, this.colors.ink, 13, "bold");
    this.text("above: why", 10, y + CPU_Y + 21, this.colors.muted, 10);
    this.box(LEFT, y + CPU_Y, this.width, CPU_BAR, this.colors.panel);
    this.lane(lane, this.vmStyles(), y + CPU_Y, CPU_BAR, `pCPU ${cpu}`);
    this.unknown(lane, LOST, y + CPU_Y, CPU_BAR);
    this.reasons(lane, y);
    if (this.right > 100) {
      const {start, end} = this.state, x = LEFT + this.width + 12, middle = y + CPU_Y + CPU_BAR / 2;
      const spent = state => lane.timeIn(state, end) - lane.timeIn(state, start);
      const known = this.model.has("sched") && end - start - spent(NOBODY) - spent(LOST);
      if (known) this.text(`idle ${showPercent(spent(0) / known)}`, x, middle - 7);
      if (known && spent(HOST))
        this.text(`host ${showPercent(spent(HOST) / known)}`, x, middle + 8);
    }
  }

  // The word for each decision, where there is room for it; its letter where there is little.
  reasons(lane, y) {
    const first = Math.max(0, lane.find(this.state.start)), last = lane.find(this.state.end);
    if (last - first > this.width / 7) return;
    for (let i = first; i <= last; i++) {
      const x = this.x(lane.edge[i]), room = this.x(lane.edge[i + 1]) - x;
      if (x < LEFT - 1 || lane.state[i] >= HOST) continue;
      const word = this.model.word(lane.at[i], "why").toLowerCase().replace("_", " ");
      const shown = room > word.length * 5.4 + 4 ? word : room > 8 ? word[0].toUpperCase() : "";
      this.text(shown, x + 1, y + CPU_Y - 7, this.colors.muted, 9);
    }
  }

  overlay() {
    const {selection, markers, chosen} = this.state, top = OVERVIEW + AXIS;
    if (selection) {
      const left = Math.max(LEFT, this.x(selection.start));
      const right = Math.min(LEFT + this.width, this.x(selection.end));
      if (right > left) {
        this.box(left, top, right - left, this.height - top, this.colors.ink, 0.12);
        this.box(left, top, 1, this.height - top, this.colors.ink);
        this.box(right - 1, top, 1, this.height - top, this.colors.ink);
      }
    }
    if (chosen !== null) this.flag(this.model.ns[chosen], "", this.colors.warn);
    for (const [name, t] of Object.entries(markers))
      if (t !== null) this.flag(t, name.toUpperCase(), this.colors.bad);
  }

  flag(t, name, color) {
    const x = this.x(t), top = OVERVIEW + AXIS;
    if (x < LEFT || x > LEFT + this.width) return;
    this.box(x - 0.75, top - 6, 1.5, this.height - top + 6, color);
    if (!name) return;
    this.box(x - 7, top - 20, 14, 14, color);
    this.text(name, x, top - 13, this.colors.page, 10, "bold", "center");
  }
}

// ["states of VM 1", "states of VM 2"] -> "states of VM 1, 2"
function grouped(items) {
  const groups = new Map();
  for (const item of items) {
    const cut = item.lastIndexOf(" "), head = item.slice(0, cut);
    groups.set(head, [...groups.get(head) ?? [], item.slice(cut + 1)]);
  }
  return [...groups].map(([head, numbers]) => `${head} ${numbers.join(", ")}`).join("; ");
}

// counted(1, "exit") -> "1 exit"; counted(1200, "exit") -> "1,200 exits"
function counted(n, what = "") {
  return n.toLocaleString("en-US") + (what && ` ${what}${n === 1 ? "" : "s"}`);
}

function clip(text, most) {
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}
