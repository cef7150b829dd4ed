// The page: view, selection, markers, keys and mouse; ties plot, table and list together.
// State lives in one object; every change ends in update(), which draws once a frame.

const byId = id => document.getElementById(id);
const NEAR = 6;             // pixels within which a click finds an event
const SHORTEST = 20;        // ns: the closest zoom

class Page {
  constructor(model) {
    this.model = model;
    this.canvas = byId("canvas");
    this.plot = new Plot(this.canvas, model);
    this.list = new EventList(byId("list"), model, i => this.center(i));
    const [start, end] = model.facts.view;
    this.state = {start, end, selection: null, markers: {a: null, b: null}, chosen: null};
    this.tool = "pan";
    this.arming = null;
    this.history = [];
    this.pointer = null;
    this.drag = null;
    this.printing = false;
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.fillFilters();
    this.bind();
    this.filter();
    this.update();
  }

  // The span that totals are for: the selection, or what is in view.
  get span() {
    return this.state.selection ?? this.state;
  }

  update() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.render());
  }

  render() {
    this.frame = 0;
    const aggregated = this.plot.draw(this.state, this.dark.matches && !this.printing);
    const {start, end, selection, markers} = this.state;
    const span = (a, b) => `${showTime(a, 9)} to ${showTime(b, 9)} (${showTime(b - a, 6)})`;
    byId("range").textContent = "view " + span(start, end);
    byId("totals-head").textContent = selection
      ? `Totals of the selection ${span(selection.start, selection.end)}`
      : `Totals of the view ${span(start, end)}`;
    byId("markers").textContent = markerText(markers);
    fillTotals(byId("totals"), this.model, this.span);
    byId("aggregated").textContent = aggregated.length ? "Zoomed out: each pixel column of " +
      `${showTime((end - start) / this.plot.width, 3)} shows occupancy (states) or counts ` +
      `(exits and ticks: logarithmic), nothing is left out: ${grouped(aggregated)}.` : "";
    fillLegend(byId("legend"), this.model, this.plot.colors);
    document.documentElement.dataset.drawn = ++this.drawn || (this.drawn = 1);
  }

  // Show start..end, kept inside the trace; `remember` for the Back button.
  view(start, end, remember = false) {
    const {model, state} = this;
    if (remember) this.history = [...this.history.slice(-49), [state.start, state.end]];
    const whole = Math.max(1, model.end - model.start);
    const length = Math.min(whole, Math.max(Math.min(SHORTEST, whole), end - start));
    const middle = (start + end) / 2;
    const latest = model.start + whole - length;
    state.start = Math.min(Math.max(model.start, middle - length / 2), latest);
    state.end = state.start + length;
    if (length === whole) [state.start, state.end] = [model.start, model.start + whole];
    if (byId("filter-view").checked && !state.selection) this.filter();
    if (!this.told) parent.postMessage({view: [state.start, state.end]}, "*");
    this.update();
  }

  // In a page with several timelines: one of the others moved.
  follow(message) {
    const view = message.source === parent && parent !== window && message.data?.view;
    if (!Array.isArray(view) || !view.every(Number.isFinite)) return;
    this.told = true;
    this.view(...view);
    this.told = false;
  }

  zoom(factor, at = (this.state.start + this.state.end) / 2, remember = false) {
    const {start, end} = this.state;
    const length = Math.max(SHORTEST, (end - start) / factor), part = (at - start) / (end - start);
    this.view(at - part * length, at + (1 - part) * length, remember);
  }

  pan(part) {
    const by = part * (this.state.end - this.state.start);
    this.view(this.state.start + by, this.state.end + by);
  }

  whole() {
    this.view(this.model.start, this.model.end, true);
  }

  back() {
    const last = this.history.pop();
    if (last) this.view(...last);
  }

  select(start, end) {
    const low = Math.round(Math.min(start, end)), high = Math.round(Math.max(start, end));
    this.state.selection = high > low ? {start: low, end: high} : null;
    if (byId("filter-view").checked) this.filter();
    this.update();
  }

  mark(name, t) {
    this.state.markers[name] = t === null ? null : Math.round(t);
    this.arm(null);
    this.update();
  }

  arm(name) {
    this.arming = name;
    for (const key of ["a", "b"]) byId("mark-" + key).setAttribute("aria-pressed", key === name);
    this.showCursor();
  }

  clear() {
    this.select(0, 0);
    this.mark("a", null);
    this.mark("b", null);
    this.state.chosen = null;
    this.list.choose(null);
  }

  // Choose record i: show it in list and plot; scroll the plot when it is out of view.
  choose(i) {
    this.state.chosen = i;
    this.list.choose(i);
    this.update();
  }

  center(i) {
    this.state.chosen = i;
    const {start, end} = this.state, t = this.model.ns[i], half = (end - start) / 2;
    this.view(t - half, t + half);
  }

  setTool(tool) {
    this.tool = tool;
    for (const name of ["pan", "select"])
      byId("tool-" + name).setAttribute("aria-checked", name === tool);
    this.showCursor();
  }

  showCursor() {
    this.canvas.classList.toggle("selecting", this.tool === "select" || this.arming !== null);
  }

  fillFilters() {
    const option = (select, value, text) => select.add(new Option(text, value));
    option(byId("filter-vm"), "", "all");
    option(byId("filter-vm"), "0", "host");
    for (const {vm, name} of this.model.lanes) option(byId("filter-vm"), vm, `${vm} ${name}`);
    option(byId("filter-event"), "", "all");
    this.model.perEvent.forEach((count, number) => {
      const name = this.model.facts.events[number]?.name ?? `unknown_${number}`;
      if (count) option(byId("filter-event"), number, `${name} (${count})`);
    });
  }

  filter() {
    const vm = byId("filter-vm").value, event = byId("filter-event").value;
    const {model} = this, inView = byId("filter-view").checked;
    const [low, high] = inView ? model.records(this.span.start, this.span.end) : [0, model.count];
    if (!vm && !event && !inView) this.list.show(null);
    else this.list.filter(low, high, i => (!vm || model.vm[i] === +vm) &&
      (!event || model.event[i] === +event));
    byId("found").textContent = counted(this.list.length, "event");
  }

  // The record nearest to a point of the plot, in the strip that the pointer is in.
  nearest(x, y) {
    const where = this.plot.laneAt(y), t = this.plot.timeAt(x);
    if (!where || where.overview) return null;
    const lists = where.pcpu ? [where.pcpu.lane.at] : where.strip === "exits" ? where.vm.exits
      : where.strip === "ticks" ? where.vm.ticks
      : [where.strip === "known" ? where.vm.known : where.vm.life];
    const after = lowerBound(this.model.ns, t);
    let best = null, distance = NEAR * (this.state.end - this.state.start) / this.plot.width;
    for (const list of lists) {
      const k = lowerBound(list, after);
      for (const i of [list[k - 1], list[k]]) {
        if (i === undefined || Math.abs(this.model.ns[i] - t) > distance) continue;
        [best, distance] = [i, Math.abs(this.model.ns[i] - t)];
      }
    }
    return best;
  }

  // What the pointer is over, in words.
  describe(x, y) {
    const {model} = this, where = this.plot.laneAt(y), t = this.plot.timeAt(x);
    if (!where || where.overview) return "";
    const near = this.nearest(x, y), lines = [];
    const lane = where.pcpu?.lane ?? where.vm.lane, i = lane.find(t);
    if (i < 0) return "";
    const until = `${showTime(lane.edge[i], 9)} to ${showTime(lane.edge[i + 1], 9)} ` +
      `(${showTime(lane.edge[i + 1] - lane.edge[i], 5)})`;
    if (where.vm) {
      lines.push(`VM ${where.vm.vm} ${where.vm.name}: ${STATE_WORDS[lane.state[i]]}`, until);
      if (near !== null) lines.push(`${model.eventName(near)} at ${showTime(model.ns[near], 9)}`,
        model.details(near));
      if (lane.state[i] === RUN) lines.push(this.why(where.vm, t));
      lines.push(knownAt(model, where.vm, t));
    } else if (lane.state[i] < HOST) lines.push(model.decision(lane.at[i]), until);
    else lines.push(this.noVm(lane, i), until);
    return lines.filter(line => line).join("\n");
  }

  // What a pCPU does in a span in which neither a VM runs nor idling was decided.
  noVm(lane, i) {
    if (lane.state[i] === LOST) return "unknown: records were dropped";
    if (lane.state[i] === NOBODY)
      return this.model.has("sched") ? "no decision yet: the host boots and creates VMs"
        : "unknown: this run did not record scheduling";
    return `the host: VM ${this.model.vm[lane.at[i]]} has ended and is taken apart; ` +
      "a new one may be created";
  }

  // The decision by which a VM runs at t.
  why(row, t) {
    for (const {lane} of this.model.pcpus) {
      const i = lane.find(t);
      if (i >= 0 && lane.state[i] === row.vm) return this.model.decision(lane.at[i]);
    }
    return "";
  }

  bind() {
    const on = (id, action) => byId(id).addEventListener("click", action);
    on("zoom-in", () => this.zoom(2, undefined, true));
    on("zoom-out", () => this.zoom(1 / 2, undefined, true));
    on("whole", () => this.whole());
    on("back", () => this.back());
    on("tool-pan", () => this.setTool("pan"));
    on("tool-select", () => this.setTool("select"));
    on("select-view", () => this.select(this.state.start, this.state.end));
    on("zoom-selection", () => this.zoomSelection());
    on("clear", () => this.clear());
    for (const name of ["a", "b"])
      on("mark-" + name, () => this.arm(this.arming === name ? null : name));
    for (const id of ["filter-vm", "filter-event", "filter-view"])
      byId(id).addEventListener("change", () => this.filter());
    bindPointer(this);
    document.addEventListener("keydown", event => this.key(event));
    this.dark.addEventListener("change", () => this.update());
    addEventListener("message", message => this.follow(message));
    new ResizeObserver(() => this.update()).observe(byId("plot"));
    const print = printing => { this.printing = printing; this.render(); };
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));
  }

  zoomSelection() {
    const {selection} = this.state;
    if (selection) this.view(selection.start, selection.end, true);
  }

  key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const {start, end} = this.state, at = this.pointer?.time;
    const actions = {ArrowLeft: () => this.pan(-0.1), ArrowRight: () => this.pan(0.1),
      "+": () => this.zoom(2, at), "=": () => this.zoom(2, at), "-": () => this.zoom(0.5, at),
      Home: () => this.view(this.model.start, this.model.start + end - start),
      End: () => this.view(this.model.end - end + start, this.model.end),
      0: () => this.whole(), Backspace: () => this.back(), Escape: () => this.clear(),
      a: () => this.mark("a", at ?? (start + end) / 2),
      b: () => this.mark("b", at ?? (start + end) / 2), s: () => this.select(start, end),
      z: () => this.zoomSelection(), n: () => this.list.step(1), p: () => this.list.step(-1)};
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }
}

addEventListener("DOMContentLoaded", async () => {
  try {
    const facts = JSON.parse(byId("facts").textContent);
    const columns = await readColumns(facts.columns, byId("data").textContent);
    byId("data").remove();
    window.timeline = new Page(new Model(facts, columns));
    byId("loading").remove();
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    byId("loading")?.remove();
    const note = document.querySelector("main").appendChild(document.createElement("p"));
    note.className = "caveat";
    note.textContent = "This page could not be drawn: " + error.message;
    throw error;
  }
});
