"""Lab 5, handout 5.6: what becomes of a nested fault, by slot, access and place."""
from grader.grading import expect, points
from grader.oracle import nested, walk
from grader.oracle.nested import EXECUTE, KB4, WRITE
from grader.oracle.nestsim import IN_WALK, MISCONFIG, PENDING, PRESENT, Nest

SIM = "nest/nestsim"
KINDS = {"memory": WRITE | EXECUTE, "read-only memory": EXECUTE, "memory not to be executed": WRITE,
         "a hole": None}
ENDS = {"KILLED": "ends the VM as KILLED", "UNSUPPORTED": "ends the VM as UNSUPPORTED",
        "emulated": "has the instruction emulated", "on": "lets the guest go on",
        "raised": "raises an exception"}
FILLED = "on"
ABOUTS = (0, IN_WALK, PRESENT, PRESENT | IN_WALK, PENDING, PENDING | PRESENT, MISCONFIG | PRESENT)


def right(allowed, access, about):
    """What must become of it: the table of handout 5.6."""
    if about & MISCONFIG:
        return "KILLED"
    needed = access & WRITE if about & IN_WALK else access
    if allowed is None or needed & ~allowed:
        if about & IN_WALK:
            return "UNSUPPORTED"
        if access & EXECUTE:
            return "UNSUPPORTED" if allowed is None else "KILLED"
        return "UNSUPPORTED" if about & PENDING else "emulated"
    return "KILLED" if about & PRESENT else FILLED


def words(kind, access, about):
    """The fault in words."""
    what = "finding one of the guest's tables" if about & IN_WALK else \
        "delivering an interrupt" if about & PENDING else "an access"
    how = "executing" if access == EXECUTE else "writing" if access & WRITE else "reading"
    there = "misconfigured" if about & MISCONFIG else \
        "present and forbidden" if about & PRESENT else "not present"
    return f"{what}, {how} {kind} (access {walk.access_words(access | walk.USER)}), the entry {there}"


def judge(lab, form, abouts, filled=False):
    """All kinds of memory, accesses and places, against the table; filled: only where a page is
    to be mapped, and holes."""
    at, nest = lab.random(form), Nest(lab.program(SIM, "serve"))
    for about in abouts:
        for kind, allowed in KINDS.items():
            # In the walk the processor writes, and may tell that a fetch was what it was made for.
            for access in (WRITE, WRITE | EXECUTE) if about & IN_WALK else (0, WRITE, EXECUTE):
                if about & PENDING and access == EXECUTE:
                    continue            # no processor reports it
                if filled and allowed is not None and right(allowed, access, about) != FILLED:
                    continue
                one(nest, form, at, (kind, allowed, access, about))


def one(nest, form, at, case):
    kind, allowed, access, about = case
    nest.begin(form)
    slot, host, pages = at.randrange(1 << 20) * KB4, at.randrange(1 << 20) * KB4, at.randrange(2, 9)
    if allowed is not None:
        nest.slot(slot, pages * KB4, host, allowed)
    page = at.randrange(pages)
    became = nest.fault(slot + page * KB4 + at.randrange(KB4), access, about)
    wanted = right(allowed, access, about)
    expect(became == wanted, f"{form}, {words(kind, access, about)}: this {ENDS.get(became, became)}; "
           f"right is what {ENDS[wanted]}")
    mapped = {slot + page * KB4: (host + page * KB4, allowed)} if wanted == FILLED else {}
    found = nested.differences(nest, nest.root, nest.form, mapped)
    expect(not found, f"{form}, after {words(kind, access, about)}: {'; '.join(found)}")


@points(4, hint="5.6", needs="test_map")
def test_faults_are_filled(lab):
    """A first touch maps the page, as its slot allows and nothing more; what is no memory stays so."""
    for form in ("npt", "ept"):
        judge(lab, form, (0, IN_WALK, PENDING), filled=True)


@points(1, hint="5.6", needs="test_map_without_memory")
def test_faults_without_memory(lab):
    """A first touch ends the VM where the host has no frame for a table; with frames it maps."""
    for form in ("npt", "ept"):
        at, nest = lab.random(form), Nest(lab.program(SIM, "serve"))
        nest.begin(form)
        gpa, host = at.randrange(1, 1 << 20) * KB4, at.randrange(1, 1 << 20) * KB4
        nest.slot(gpa, KB4, host, WRITE | EXECUTE)
        for frames, wanted in ((0, "KILLED"), (100, FILLED)):
            nest.frames(frames)
            became = nest.fault(gpa + at.randrange(KB4), WRITE)
            expect(became == wanted, f"{form}, a first touch of memory with {frames} frames left for "
                   f"tables: this {ENDS.get(became, became)}; right is what {ENDS[wanted]}")
        found = nested.differences(nest, nest.root, nest.form, {gpa: (host, WRITE | EXECUTE)})
        expect(not found, f"{form}, with frames again: {'; '.join(found)}")


@points(5, hint="5.6", needs="test_map")
def test_faults_are_told_apart(lab):
    """In the walk or at its end, violation or misconfiguration: each is what the table says."""
    for form in ("npt", "ept"):
        judge(lab, form, ABOUTS)
