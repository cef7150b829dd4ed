"""Lab 5, handout 5.1 and 5.2: entries of both formats, decoded by the grader."""
from grader.grading import expect, points
from grader.oracle.nested import EXECUTE, NAMES, WRITE, rights
from grader.oracle.nestsim import Nest
from grader.oracle.paging import EPT, LONG4, PS, frame, span

SIM = "nest/nestsim"
MANY = 400
ADDRESS = span(12, 39)


def entries(lab, form):
    """Random entries of that format: (what was asked for, in words; level; is_page; to; entry)."""
    nest, at = Nest(lab.program(SIM, "serve")), lab.random()
    nest.begin(form)
    for _ in range(MANY):
        level, access = at.randrange(1, 5), at.choice((0, WRITE, EXECUTE, WRITE | EXECUTE))
        is_page = level == 1 or level < 4 and at.random() < 0.5
        to = at.getrandbits(40) & ADDRESS & ~((1 << 12 + 9 * (level - 1)) - 1 if is_page else 0)
        what = (f"the entry of level {level} for {'a page' if is_page else 'a table'} at "
                f"{to:#x}, {NAMES[access]},")
        yield what, level, is_page, to, access, nest.entry(to, level, is_page, access)


def judge(form, what, number, is_page, to, access, entry):
    """What both formats have in common."""
    level = form.levels[4 - number]
    expect(entry & form.present, f"{what} is {entry:#x}: not present")
    expect(frame(form, level, entry, is_page) == to,
           f"{what} is {entry:#x}: it leads to {frame(form, level, entry, is_page):#x}")
    expect(form.maps_page(level, entry) == is_page,
           f"{what} is {entry:#x}: it does not {'map a page' if is_page else 'lead to a table'}; "
           "bit 7 tells (from level 2 up)")
    allowed = rights(form, [entry])
    expect(allowed == NAMES[access], f"{what} is {entry:#x}: that allows {allowed}")
    expect(not entry & form.ad, f"{what} is {entry:#x}: A or D is set, but nobody has used it yet")
    zero = level.zero | (level.zero_page if is_page else level.zero_table) | span(40, 51)
    expect(not entry & zero, f"{what} is {entry:#x}: bits {entry & zero:#x} must be 0 there")


@points(5, hint="5.1")
def test_npt_entries(lab):
    """Entries of AMD's format: address, rights, page or table, at every level."""
    for what, *asked in entries(lab, "npt"):
        judge(LONG4, what, *asked)
        expect(not asked[-1] & span(8, 11) and not asked[-1] & span(3, 4),
               f"{what} is {asked[-1]:#x}: bits 3, 4 and 8 to 11 were not asked for")
        expect(asked[0] > 1 or not asked[-1] & PS, f"{what} is {asked[-1]:#x}: at level 1 bit 7 does "
               "not say that it is a page; there it selects a memory type")


@points(5, hint="5.2")
def test_ept_entries(lab):
    """Entries of Intel's format: the same, and the memory type of pages."""
    for what, *asked in entries(lab, "ept"):
        judge(EPT, what, *asked)
        is_page, entry = asked[1], asked[-1]
        expect(not is_page or entry >> 3 & 15 == 6, f"{what} is {entry:#x}: memory type and IPAT "
               f"are {entry >> 3 & 15:#x}, should be 6 (write-back, IPAT 0)")
        expect(not entry >> 52, f"{what} is {entry:#x}: no bit above the address has a meaning here")
        expect(not (entry & PS and asked[0] == 1), f"{what} is {entry:#x}: bit 7 at level 1")
