// The list of events: a window of rows over a list of any length. Only the rows
// in sight exist; a list too tall for a browser scrolls in proportion instead.

const ROW = 20, TALLEST = 5e6;

class EventList {
  constructor(box, model, onChoose) {
    this.box = box;
    this.model = model;
    this.onChoose = onChoose;
    this.window = box.querySelector("#window");
    this.spacer = box.querySelector("#spacer");
    this.shown = null;          // record numbers, null: all
    this.chosen = null;         // a record number
    this.first = 0;             // the row at the top, may be a fraction
    this.expected = 0;          // the scrollTop that was set here and not by the reader
    box.addEventListener("scroll", () => this.scrolled());
    box.addEventListener("wheel", event => this.wheel(event), {passive: false});
    box.addEventListener("keydown", event => this.key(event));
    box.addEventListener("click", event => this.click(event));
    new ResizeObserver(() => this.render()).observe(box);
  }

  get length() {
    return this.shown ? this.shown.length : this.model.count;
  }

  get visible() {
    return Math.max(1, this.box.clientHeight / ROW);
  }

  get most() {
    return Math.max(0, this.length - this.visible);
  }

  record(place) {
    return this.shown ? this.shown[place] : place;
  }

  // The place of a record in the list, or of the first one behind it.
  place(record) {
    return this.shown ? lowerBound(this.shown, record) : record;
  }

  show(records) {
    this.shown = records;
    this.spacer.style.height = Math.min(TALLEST, this.length * ROW) + "px";
    this.scrollTo(this.chosen === null ? 0 : this.place(this.chosen) - this.visible / 2);
  }

  // Keep the records for which test(i) holds, from low up to high.
  filter(low, high, test) {
    const found = new Uint32Array(high - low);
    let n = 0;
    for (let i = low; i < high; i++) if (test(i)) found[n++] = i;
    this.show(found.slice(0, n));
  }

  choose(record, reveal = true) {
    this.chosen = record;
    const place = this.place(record);
    const out = place < this.first + 1 || place > this.first + this.visible - 2;
    if (reveal && record !== null && out) this.scrollTo(place - this.visible / 2);
    else this.render();
  }

  // Step through the list from the chosen record.
  step(by) {
    if (!this.length) return;
    const now = this.chosen === null ? Math.floor(this.first) - Math.sign(by)
      : this.place(this.chosen);
    const there = this.chosen === null || this.record(now) === this.chosen;
    const next = now + (there || by < 0 ? by : by - 1);
    const record = this.record(Math.max(0, Math.min(this.length - 1, next)));
    this.choose(record);
    this.onChoose(record);
  }

  scrollTo(first) {
    this.first = Math.max(0, Math.min(this.most, first));
    const scrollable = this.spacer.offsetHeight - this.box.clientHeight;
    this.expected = this.most ? this.first / this.most * Math.max(0, scrollable) : 0;
    this.box.scrollTop = this.expected;
    this.render();
  }

  scrolled() {
    if (Math.abs(this.box.scrollTop - this.expected) < 1.5) return;
    this.expected = this.box.scrollTop;
    const scrollable = this.spacer.offsetHeight - this.box.clientHeight;
    this.first = Math.min(this.most, this.most * this.box.scrollTop / Math.max(1, scrollable));
    this.render();
  }

  wheel(event) {
    if (event.ctrlKey || !this.most) return;
    const scale = event.deltaMode === 1 ? 1 : 1 / ROW;
    const before = this.first;
    this.scrollTo(this.first + event.deltaY * scale);
    if (this.first !== before) event.preventDefault();
  }

  key(event) {
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: Math.floor(this.visible) - 1,
      PageUp: 1 - Math.floor(this.visible), Home: -this.length, End: this.length};
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(steps[event.key]);
  }

  click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.choose(+row.dataset.record, false);
    this.onChoose(+row.dataset.record);
  }

  render() {
    const start = Math.floor(this.first), rows = [];
    const stop = Math.min(this.length, start + Math.ceil(this.visible) + 1);
    for (let place = start; place < stop; place++)
      rows.push(this.row(this.record(place), (place - this.first) * ROW));
    this.window.replaceChildren(...rows);
    const chosen = this.window.querySelector("[aria-selected=true]");
    this.box.setAttribute("aria-activedescendant", chosen ? chosen.id : "");
  }

  row(i, top) {
    const {model} = this, row = document.createElement("div");
    row.className = "row";
    row.id = "record" + i;
    row.dataset.record = i;
    row.style.top = top + "px";
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", i === this.chosen);
    const ms = (model.ns[i] / 1e6).toLocaleString("en-US", {minimumFractionDigits: 6});
    const cells = [ms + " ms", model.vm[i] ? `VM ${model.vm[i]}` : "host",
      `pCPU ${model.pcpu[i]}`, model.eventName(i), model.details(i)];
    for (const cell of cells) row.appendChild(document.createElement("span")).textContent = cell;
    row.title = model.facts.events[model.event[i]]?.doc ?? "";
    return row;
  }
}
