"""The quiz as a page: questions beside a picture with gaps; answers are not in its source.

Each answer is sealed: a key is derived from it (PBKDF2 with HMAC-SHA-256), whose first bytes
tell whether a given answer is right and whose rest uncovers the explanation.  Known mistakes
are sealed in the same way.  That keeps an eye from falling on an answer; who wants to try all
possible ones can.  What it does not do: choose questions (quiz_questions.py).
"""
from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any, Dict, List

from viz import walk, walk_page, walk_words
from viz.html_page import render
from viz.quiz_questions import Question, hidden, how, letters, prompts
from viz.walk_data import Walk

ROUNDS = 1000
CHECK = 16          # bytes of a key that recognize an answer
SCRIPTS = ("quiz_seal.js", "quiz.js")


def seal(answer: str, text: str, salt: bytes) -> str:
    """Check bytes and the covered text, as hex digits."""
    data = text.encode("utf-8")
    key = hashlib.pbkdf2_hmac("sha256", answer.encode("utf-8"), salt, ROUNDS, CHECK + len(data))
    return (key[:CHECK] + bytes(a ^ b for a, b in zip(data, key[CHECK:]))).hex()


def sealed(question: Question, letter: str, seed: int) -> Dict[str, Any]:
    """What the page knows of a question."""
    salt = hashlib.sha256(f"{seed} {letter} {question.prompt}".encode("utf-8")).digest()[:16]
    wrong = [seal(answer, text, salt) for answer, text in sorted(question.mistakes.items())]
    return {"salt": salt.hex(), "form": question.form,
            "right": seal(question.answer, question.why, salt),
            "wrong": " ".join(wrong)}


def page(drawn: Walk, chosen: List[Question], about: Dict[str, str], seed: int) -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "quiz.svg")
        walk.render(walk.dot(drawn, about, hidden(chosen)), "svg", path)
        with open(path, encoding="utf-8") as file:
            svg = walk_page.inline(file.read(), "Page walk with gaps")
    asked = [{"letter": letter, "prompt": prompt, "how": how(question),
              "rule": question.rule, "manual": question.manual,
              "sealed": sealed(question, letter, seed)}
             for letter, prompt, question in zip(letters(chosen), prompts(chosen), chosen)]
    return render("quiz.html.j2", {
        "drawn": drawn, "about": about, "asked": asked, "svg": svg, "rounds": ROUNDS,
        "check": CHECK, "access": walk_words.access_words(drawn.access),
        "mode": walk_words.mode_words(drawn), "kind": walk_words.kind_words(drawn)}, SCRIPTS)
