// Parts of the page around the plot: the pointer, the table of totals, the legend.
// The state itself is timeline.js's; nothing is summed here.

// What a drag does depends on where it began: the overview strip, or the plot.
function bindPointer(page) {
  const {canvas} = page;
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return {x: event.clientX - box.left, y: event.clientY - box.top};
  };
  canvas.addEventListener("pointerdown", event => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    startDrag(page, place(event), event.shiftKey);
  });
  canvas.addEventListener("pointermove", event => {
    const at = place(event);
    page.pointer = {...at, time: page.plot.timeAt(at.x)};
    if (page.drag) moveDrag(page, at);
    else showTip(page, at);
  });
  canvas.addEventListener("pointerup", event => endDrag(page, place(event)));
  canvas.addEventListener("pointercancel", () => { page.drag = null; });
  canvas.addEventListener("pointerleave", () => {
    page.pointer = null;
    byId("tip").hidden = true;
  });
  canvas.addEventListener("dblclick",
    event => page.zoom(4, page.plot.timeAt(place(event).x), true));
  canvas.addEventListener("wheel", event => turnWheel(page, event, place(event)),
    {passive: false});
}

function startDrag(page, at, shift) {
  const overview = page.plot.laneAt(at.y)?.overview;
  const other = page.tool === "pan" ? "select" : "pan";
  const tool = overview ? "overview" : shift ? other : page.tool;
  const {start, end} = page.state;
  page.drag = {tool, x: at.x, moved: overview, start, end, time: page.plot.timeAt(at.x)};
  byId("tip").hidden = true;
  if (overview) moveDrag(page, at);
}

function moveDrag(page, at) {
  const {drag, plot, model} = page;
  if (!drag.moved && Math.abs(at.x - drag.x) < 4) return;
  drag.moved = true;
  const length = drag.end - drag.start;
  if (drag.tool === "select") page.select(drag.time, plot.timeAt(at.x));
  else if (drag.tool === "pan") {
    const by = (drag.x - at.x) / plot.width * length;
    page.view(drag.start + by, drag.end + by);
  } else {
    const middle = model.start + (at.x - LEFT) / plot.width * (model.end - model.start);
    page.view(middle - length / 2, middle + length / 2);
  }
}

function endDrag(page, at) {
  const {drag} = page;
  page.drag = null;
  if (!drag || drag.moved) return;
  if (page.arming) page.mark(page.arming, page.plot.timeAt(at.x));
  else {
    const record = page.nearest(at.x, at.y);
    if (record !== null) page.choose(record);
  }
}

function turnWheel(page, event, at) {
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 30 : 1;
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (event.shiftKey || sideways)
    page.pan((sideways ? event.deltaX : event.deltaY) * unit / page.plot.width);
  else page.zoom(Math.exp(-event.deltaY * unit * 0.002), page.plot.timeAt(at.x));
}

function showTip(page, at) {
  const tip = byId("tip"), inside = at.x >= LEFT && at.x <= LEFT + page.plot.width;
  tip.textContent = inside ? page.describe(at.x, at.y) : "";
  tip.hidden = !tip.textContent;
  if (tip.hidden) return;
  const right = at.x + 16 + tip.offsetWidth < page.canvas.clientWidth;
  const below = at.y + 16 + tip.offsetHeight < page.plot.height;
  tip.style.left = Math.max(0, right ? at.x + 16 : at.x - 10 - tip.offsetWidth) + "px";
  tip.style.top = Math.max(0, below ? at.y + 16 : at.y - 10 - tip.offsetHeight) + "px";
}

function markerText({a, b}) {
  const parts = [];
  if (a !== null) parts.push(`A ${showTime(a, 12)}`);
  if (b !== null) parts.push(`B ${showTime(b, 12)}`);
  if (a !== null && b !== null) {
    parts.push(`B − A = ${showTime(b - a, 12)}`);
    if (a !== b) parts.push(`(${(1e9 / Math.abs(b - a)).toPrecision(5)} Hz)`);
  }
  return parts.join("  ");
}

const HEADS = ["VM", "ran", "share", "asked", "error", "ready", "blocked", "exits",
  "ticks due", "delivered", "dropped", "exits by reason"];

// One row a VM; data-value holds what a cell shows, unrounded.
function fillTotals(table, model, {start, end}) {
  const head = element("tr", ...HEADS.map(word => element("th", word)));
  head.lastChild.className = "words";
  const rows = model.totals(start, end).map(row => totalsRow(model, row));
  if (model.has("sched")) {
    rows.push(restRow(model, "idle", 0, start, end));
    if (model.spent(HOST, model.start, model.end))
      rows.push(restRow(model, "host, after a VM's end", HOST, start, end));
  }
  for (const row of rows) row.firstChild.scope = "row";
  table.replaceChildren(element("thead", head), element("tbody", ...rows));
}

// What the pCPUs did when no VM ran.
function restRow(model, name, state, start, end) {
  const spent = model.spent(state, start, end), whole = model.decided(start, end);
  const part = whole ? spent / whole : null;
  const row = element("tr", element("td", name), cell(spent, showTime(spent)),
    cell(part, showPercent(part)));
  row.appendChild(element("td")).colSpan = HEADS.length - 3;
  return row;
}

function totalsRow(model, row) {
  const exits = Object.values(row.exits).reduce((a, b) => a + b, 0);
  const reasons = Object.entries(row.exits).sort((a, b) => b[1] - a[1])
    .map(([reason, n]) => `${reason} ${n.toLocaleString("en-US")}`);
  const told = (group, value, text) => model.has(group) ? cell(value, text) : missing();
  const line = element("tr", element("th", `${row.vm} ${row.name}`),
    told("sched", row.run, showTime(row.run)), told("sched", row.share, showPercent(row.share)),
    told("sched", row.asked, showPercent(row.asked)),
    told("sched", row.error, showPercent(row.error, true)),
    told("sched", row.ready, showTime(row.ready)),
    told("sched", row.blocked, showTime(row.blocked)),
    told("exits", exits, exits.toLocaleString("en-US")),
    ...["due", "delivered", "dropped"].map(kind => told("time", row.ticks[kind] ?? 0)),
    told("exits", JSON.stringify(row.exits), reasons.join(", ")));
  line.lastChild.className = "words";
  line.dataset.vm = row.vm;
  return line;
}

// In the place of a number that the run did not record.
function missing() {
  const result = element("td", "\u2013");
  result.title = "not recorded by this run";
  return result;
}

function cell(value, text = value.toLocaleString("en-US")) {
  const result = element("td", text);
  result.dataset.value = value;
  return result;
}

function element(name, ...children) {
  const result = document.createElement(name);
  result.append(...children);
  return result;
}

function fillLegend(box, model, colors) {
  if (box.dataset.page === colors.page) return;
  box.dataset.page = colors.page;
  const items = [["run (colour of the VM)", colors.vms[0], 1], ["ready", colors.vms[0], 0.25],
    ["blocked", colors.muted, 0.55], ["VM ended", colors.bad, 1]];
  if (model.spent(HOST, model.start, model.end))
    items.push(["host, after a VM's end", colors.muted, 1]);
  for (const [text, band] of model.strip?.kind.bands ?? []) items.push([text, colors[band], 0.6]);
  if (model.strip?.kind.deadline) items.push(["deadline", colors.bad, 1]);
  const named = model.facts.reasons.slice(0, colors.exits.length - 1);
  items.push(...named.map((reason, k) => [`exit ${reason}`, colors.exits[k], 1]));
  if (model.facts.reasons.length > named.length)
    items.push(["other exits", colors.exits[colors.exits.length - 1], 1]);
  box.replaceChildren(...items.map(([text, color, alpha]) => {
    const swatch = document.createElement("i");
    swatch.style.background = color;
    swatch.style.opacity = alpha;
    return element("span", swatch, text);
  }));
}
