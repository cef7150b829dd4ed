"""`python3 -m viz quiz`: a real walk with some of its places hidden, and questions about them.

With -o it is a page (quiz_page.py), else it is asked in the terminal.  The same --seed asks
the same.  The questions are quiz_questions.py's.  It is a means to learn, not an exam: who
looks into the trace finds every answer.
"""
from __future__ import annotations

import argparse
import sys
from typing import Callable, Dict, List

from viz import quiz_page, walk, walk_words
from viz.quiz_questions import Question, canonical, choose, hidden, how, letters, prompts
from viz.stats import write_text
from viz.trace import TraceError, announce, load
from viz.walk_data import Walk, WalkRef, Walks

TRIES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    walk.add_choice(parser)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which questions (1)")
    parser.add_argument("--count", type=int, default=8, metavar="N",
                        help="how many questions, at most (8)")
    parser.add_argument("-o", "--output", metavar="FILE.html",
                        help="write a page instead of asking here")


def run(args: argparse.Namespace) -> int:
    """Ask, or write the page; 0 when done, whatever was answered."""
    trace = load(args.trace)
    announce(trace)
    if not 1 <= args.count <= 26:
        raise TraceError(f"--count {args.count}: 1 to 26 questions can be asked")
    if args.output and not args.output.lower().endswith(".html"):
        raise TraceError(f"{args.output}: the page's ending must be .html")
    walks = Walks(trace)
    drawn = walk.choose(walks, args.vm, args.gva, args.n)
    chosen = choose(drawn, args.count, args.seed)
    if not chosen:
        raise TraceError(f"walk {drawn.number} gives nothing to ask: it has no reference")
    if args.output is None:
        ask(drawn, chosen, _line, print)
        return 0
    about = walk.about(trace, drawn, len(walks))
    write_text(args.output, quiz_page.page(drawn, chosen, about, args.seed))
    print(f"{args.output}: {len(chosen)} questions about walk {drawn.number}, "
          f"VM {drawn.vm}")
    return 0


def _line(prompt: str) -> str:
    """A line of the terminal; EOFError where there is none any more."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def ask(drawn: Walk, chosen: List[Question], read: Callable[[str], str],
        say: Callable[[str], None]) -> int:
    """All questions, one after the other; how many were answered right."""
    say("\n".join(listing(drawn, hidden(chosen))))
    right = 0
    try:
        for letter, text, question in zip(letters(chosen), prompts(chosen), chosen):
            say(f"\n{letter}. {text} ({how(question)})")
            right += _ask_one(question, read, say)
    except EOFError:
        say("")
    say(f"\n{right} of {len(chosen)} right.")
    return right


def _ask_one(question: Question, read: Callable[[str], str], say: Callable[[str], None]) -> bool:
    for _ in range(TRIES):
        given = canonical(question.form, read("   your answer (nothing: tell me): "))
        if given == question.answer:
            say(f"   Right. {question.why} ({question.manual})")
            return True
        if not given:
            break
        known = question.mistakes.get(given)
        say(f"   No. {known + ' ' if known else ''}{question.rule} ({question.manual})")
    prefix = "0x" if question.form == "hex" else ""
    say(f"   It is {prefix}{question.answer}. {question.why} ({question.manual})")
    return False


def listing(drawn: Walk, left_out: Dict[str, str]) -> List[str]:
    """The walk as a table, without what is hidden."""
    def shown(place: str, text: str) -> str:
        return left_out.get(place, text)

    ends = [f"gPA {shown('gpa', f'{drawn.gpa:#x}')}, known after "
            f"{shown('known', str(drawn.gpa_refs))} references; hPA "
            f"{shown('hpa', f'{drawn.hpa:#x}')}, known after {shown('total', str(drawn.total))}"]
    if drawn.faulted:
        ends = [f"fault: {shown('fault', walk_words.fault_name(drawn.fault))}"]
    head = (f"VM {drawn.vm}, gVA {drawn.gva:#x}, {walk_words.access_words(drawn.access)}, "
            f"{walk_words.mode_words(drawn)}, {walk_words.kind_words(drawn)}, gCR3 {drawn.groot:#x}")
    columns = f"{'n':>3}  {'translates':<20} {'entry of':<12} {'table at hPA':<13} {'entry':<19} flags"
    return [head, columns] + [_row(drawn, ref, shown) for ref in drawn.refs] + (
        ends if drawn.complete else [])


def _row(drawn: Walk, ref: WalkRef, shown: Callable[[str, str], str]) -> str:
    flags = " ".join(name if state != "clear" else name.lower()
                     for name, state in walk_words.flags(drawn, ref))
    size = f"{walk_words.size_name(ref.size)} page" if ref.size else ""
    place = "gpa" if not ref.serves else f"row {ref.serves}"
    addr = ref.addr & ~0xFFF if ref.serves else ref.addr    # the rest would tell the index
    what = f"gPA {shown(place, f'{addr:#x}')}" if ref.dim == "NESTED" else f"gVA {ref.addr:#x}"
    table = f"{walk_words.table_name(ref.dim, ref.level)}[{shown(f'index {ref.n}', f'{ref.index:#x}')}]"
    return (f"{shown('circles', str(ref.n)):>3}  {what:<20} {table:<12} "
            f"{shown(f'table {ref.n}', f'{ref.table:#x}'):<13} {ref.after:#019x} "
            f"{shown(f'flags {ref.n}', flags)} {shown(f'size {ref.n}', size)}").rstrip()
