// The quiz's page: checks an answer when it is given, says why, and keeps the score.

class Quiz {
  constructor(box) {
    this.rounds = Number(box.dataset.rounds);
    this.check = Number(box.dataset.check);
    this.questions = [...box.querySelectorAll("li")];
    this.score = box.querySelector(".score b");
    for (const question of this.questions)
      question.querySelector("form").addEventListener("submit", event => {
        event.preventDefault();
        this.answer(question);
      });
    this.count();
  }

  // What is covered by the first of these seals that `answer` opens.
  async open(seals, answer, question) {
    if (answer === "") return null;
    for (const seal of seals) {
      const text = await unseal(seal, answer, question.dataset.salt, this.rounds, this.check);
      if (text !== null) return text;
    }
    return null;
  }

  async answer(question) {
    const {form, right, wrong, rule, manual} = question.dataset;
    const given = canonical(form, question.querySelector("input").value);
    const why = await this.open([right], given, question);
    const known = why ?? await this.open(wrong.split(" ").filter(Boolean), given, question);
    question.className = why === null ? "wrong" : "right";
    question.querySelector("output").textContent = why === null
      ? `No. ${known ? known + " " : ""}${rule} (${manual})` : `Right. ${why} (${manual})`;
    this.count();
  }

  count() {
    const right = this.questions.filter(question => question.className === "right").length;
    this.score.textContent = `${right} of ${this.questions.length} right.`;
  }
}

for (const box of document.querySelectorAll(".quiz")) new Quiz(box);
