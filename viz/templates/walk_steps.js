// Steps through a page walk: shows it up to one reference, and says what that one gives; by
// hand or by itself.  Without this script the page shows the whole walk.  step-K is the class
// of what belongs to the K-th reference, see viz/walk_dot.py.

class Steps {
  constructor(box) {
    this.box = box;
    this.texts = [...box.querySelectorAll(".steps li")];
    this.slider = box.querySelector("input[type=range]");
    this.said = box.querySelector("output");
    this.tools = box.querySelector(".step-tools");
    this.figure = box.querySelector("figure");
    this.playing = box.querySelector("button.play");
    this.pause = box.querySelector("select");
    this.timer = null;
    this.parts = [...box.querySelectorAll("svg [class*=step-]")]
      .map(part => [part, Number(/step-(\d+)/.exec(part.getAttribute("class"))[1])]);
    this.listen();
    this.tools.hidden = this.texts.length === 0;
    this.show(0);
  }

  listen() {
    const by = (element, kind, work) => element.addEventListener(kind, work);
    by(this.slider, "input", () => this.goTo(Number(this.slider.value)));
    for (const button of this.box.querySelectorAll("button[data-by]"))
      by(button, "click", () => this.goTo(this.step + Number(button.dataset.by)));
    by(this.box.querySelector("button.whole"), "click", () => this.goTo(0));
    by(this.playing, "click", () => this.timer === null ? this.play() : this.stop());
    by(this.pause, "change", () => { if (this.timer !== null) this.play(); });
    by(this.box.dataset.keys === "page" ? document : this.box, "keydown", event => this.key(event));
  }

  // A key means what the page says, unless a control that it belongs to has the focus.
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || this.texts.length === 0) return;
    const own = event.target.closest("input, select, button, summary, a");
    const work = {
      ArrowRight: () => this.goTo(this.step + 1), ArrowLeft: () => this.goTo(this.step - 1),
      Home: () => this.goTo(1), End: () => this.goTo(this.texts.length), Escape: () => this.goTo(0),
      " ": () => this.timer === null ? this.play() : this.stop()}[event.key];
    if (!work || own && event.key !== "Escape" && (own.tagName !== "BUTTON" || event.key === " "))
      return;
    event.preventDefault();
    work();
  }

  // From where the walk stands, or from the beginning; it stops at its end.
  play() {
    this.stop();
    this.playing.textContent = "stop";
    this.playing.setAttribute("aria-pressed", "true");
    this.show(this.step < this.texts.length ? this.step + 1 : 1);
    this.timer = setInterval(() => {
      this.show(this.step + 1);
      if (this.step === this.texts.length) this.stop();
    }, Number(this.pause.value));
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.playing.textContent = "play";
    this.playing.setAttribute("aria-pressed", "false");
  }

  goTo(k) {
    this.stop();
    this.show(k);
  }

  // Show the walk up to its k-th reference; 0 shows all of it.
  show(k) {
    const count = this.texts.length;
    this.step = k = Math.max(0, Math.min(count, k));
    const last = k || Infinity;
    this.slider.value = k;
    for (const [part, n] of this.parts) {
      part.classList.toggle("later", n > last);
      part.classList.toggle("now", n === last);
    }
    this.texts.forEach((text, i) => text.classList.toggle("now", i + 1 === last));
    this.said.textContent = k ? `${k} of ${count}: ${this.texts[k - 1].textContent}`
      : `The whole walk: ${count} references. Go through them one by one.`;
    this.box.dataset.step = k;
    if (k) this.reveal(this.parts.filter(([, n]) => n === k).map(([part]) => part));
  }

  // Move the page, and in a narrow window the picture, no further than makes `parts` seen.
  reveal(parts) {
    if (parts.length === 0) return;
    const boxes = parts.map(part => part.getBoundingClientRect());
    const least = side => Math.min(...boxes.map(box => box[side])) - 12;
    const most = side => Math.max(...boxes.map(box => box[side])) + 12;
    const by = (low, high, from, to) => Math.min(low - from, Math.max(0, high - to));
    const over = this.figure.getBoundingClientRect();
    const sticks = getComputedStyle(this.tools).position === "sticky";
    const top = sticks ? this.tools.offsetHeight : 0;
    this.figure.scrollLeft += by(least("left"), most("right"), over.left, over.right);
    window.scrollBy(0, by(least("top"), most("bottom"), top, innerHeight));
  }
}

for (const box of document.querySelectorAll(".walk")) new Steps(box);
