// Steps through a page walk: shows it up to one reference, and says what that one gives.
// Without this script the page shows the whole walk. Classes: step-N, see viz/walk_dot.py.

class Steps {
  constructor(box) {
    this.box = box;
    this.texts = [...box.querySelectorAll(".steps li")];
    this.slider = box.querySelector("input[type=range]");
    this.said = box.querySelector("output");
    this.parts = [...box.querySelectorAll("svg [class*=step-]")]
      .map(part => [part, Number(/step-(\d+)/.exec(part.getAttribute("class"))[1])]);
    this.numbers = this.texts.map(text => Number(text.value));
    this.slider.addEventListener("input", () => this.show(Number(this.slider.value)));
    const at = button => Number(this.slider.value) + Number(button.dataset.by);
    for (const button of box.querySelectorAll("button[data-by]"))
      button.addEventListener("click", () => this.show(at(button)));
    box.querySelector("button.whole").addEventListener("click", () => this.show(0));
    box.querySelector(".step-tools").hidden = false;
    this.show(0);
  }

  // Show the walk up to its k-th reference; 0 shows all of it.
  show(k) {
    k = Math.max(0, Math.min(this.texts.length, k));
    const number = k ? this.numbers[k - 1] : Infinity;
    this.slider.value = k;
    for (const [part, n] of this.parts) {
      part.classList.toggle("later", n > number);
      part.classList.toggle("now", n === number);
    }
    const count = this.texts.length;
    this.said.textContent = k ? `${number} of ${count}: ${this.texts[k - 1].textContent}`
      : `The whole walk: ${count} references. Go through them one by one.`;
    this.box.dataset.step = k;
  }
}

for (const box of document.querySelectorAll(".walk")) new Steps(box);
