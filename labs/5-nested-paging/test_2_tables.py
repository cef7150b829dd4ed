"""Lab 5, handout 5.3 to 5.5: tables are made and changed, and read back by the grader."""
from grader.grading import expect, points
from grader.oracle import nested
from grader.oracle.nested import EXECUTE, KB4, WRITE
from grader.oracle.nestsim import Nest

SIM = "nest/nestsim"
ALL = WRITE | EXECUTE
ACCESSES = (0, WRITE, EXECUTE, ALL)
NO_MEMORY = -12
FAR = 1 << 48


def near(at, count=6):
    """gPAs that share some tables and not others: around random places, both ends included."""
    places = [0, FAR - 8 * KB4] + [at.randrange(FAR >> 12) * KB4 for _ in range(count)]
    return sorted({min(place + at.randrange(8) * KB4 * at.choice((1, 512)), FAR - KB4)
                   for place in places for _ in range(3)})


def frame(at):
    return at.randrange(1, 1 << 28) * KB4


def same(nest, wanted, about):
    """The tables hold exactly these mappings, and the two counts are right."""
    found = nested.differences(nest, nest.root, nest.form, wanted)
    expect(not found, f"{about}: {'; '.join(found)}")
    tables = len(nested.Reach(nest, nest.root, nest.form).tables)
    expect(nest.tables == tables, f"{about}: {tables} tables are in use, {nest.tables} were made")
    expect(nest.mapped == len(wanted), f"{about}: {len(wanted)} pages are mapped, `mapped` says "
           f"{nest.mapped}")


def filled(lab, form, count=6):
    """A program with mappings, and what they are."""
    at = lab.random(form)
    nest, wanted = Nest(lab.program(SIM, "serve")), {}
    nest.begin(form)
    for gpa in near(at, count):
        wanted[gpa] = (frame(at), at.choice(ACCESSES))
        expect(nest.map(gpa, *wanted[gpa]) == 0, f"mapping gPA {gpa:#x} failed, with frames enough")
    return nest, wanted, at


@points(7, hint="5.3", needs=("test_npt_entries", "test_ept_entries"))
def test_map(lab):
    """What was mapped is there, exactly that, and mapping again replaces; in both formats."""
    for form in ("npt", "ept"):
        nest, wanted, at = filled(lab, form)
        same(nest, wanted, f"{form}, after {len(wanted)} mappings")
        for gpa in at.sample(sorted(wanted), len(wanted) // 2):
            wanted[gpa] = (frame(at), at.choice(ACCESSES))
            nest.map(gpa, *wanted[gpa])
        same(nest, wanted, f"{form}, after half of them were mapped again")
        expect(nest.end() == 0, f"{form}: frames of tables were lost")


@points(3, hint="5.3", needs="test_map")
def test_map_without_memory(lab):
    """Where a table is missing and there is no frame for it, that is said, and nothing is harmed."""
    for form in ("npt", "ept"):
        nest, wanted, at = filled(lab, form, 2)
        free = sorted({*range(512)} - {gpa >> 39 for gpa in wanted})    # below the root: no table
        for allowed, entry in enumerate(at.sample(free, 3)):
            gpa = (entry << 39) + at.randrange(1 << 27) * KB4
            nest.frames(allowed)
            code = nest.map(gpa, frame(at), ALL)
            expect(code == NO_MEMORY, f"{form}: mapping needs three tables, {allowed} frames are "
                   f"left: the answer was {code}, should be -ENOMEM, {NO_MEMORY}")
            found = nested.differences(nest, nest.root, nest.form, wanted)
            expect(not found, f"{form}, after a mapping that failed: {'; '.join(found)}")
            nest.frames(100)
            wanted[gpa] = (frame(at), ALL)
            expect(nest.map(gpa, *wanted[gpa]) == 0, f"{form}: it fails with memory, too")
        same(nest, wanted, f"{form}, with memory again")
        expect(nest.end() == 0, f"{form}: frames of tables were lost")


def makes_nothing(nest, about, call, *empty):
    """Called for pages that are not mapped, it makes no table on the way to them."""
    for gpa in empty:
        before = nest.tables
        said = call(gpa)
        expect(not said, f"{about}: nothing is mapped at gPA {gpa:#x}; the answer was {said:#x}")
        expect(nest.tables == before, f"{about} at gPA {gpa:#x}, where nothing is mapped, made "
               f"{nest.tables - before} tables; it should make none")


@points(4, hint="5.4", needs="test_map")
def test_unmap(lab):
    """What is unmapped is gone, its neighbours stay; what was not mapped is told, and no table
    is made for it."""
    for form in ("npt", "ept"):
        nest, wanted, at = filled(lab, form)
        for gpa in at.sample(sorted(wanted), len(wanted) // 2):
            del wanted[gpa]
            expect(nest.unmap(gpa), f"{form}: gPA {gpa:#x} is mapped, unmapping says no")
            expect(not nest.unmap(gpa), f"{form}: gPA {gpa:#x} is unmapped a second time")
        makes_nothing(nest, f"{form}: unmapping", nest.unmap,
                      *{1 << 46, max(wanted) ^ 1 << 12 + 8} - {*wanted})
        same(nest, wanted, f"{form}, after half was unmapped")


@points(5, hint="5.4", needs="test_map")
def test_protect(lab):
    """Another access for the same page; whether it was used and written to is not forgotten. Where
    there is none, no table is made."""
    for form in ("npt", "ept"):
        nest, wanted, at = filled(lab, form)
        used = {gpa: at.choice((0, nest.form.ad)) for gpa in wanted}
        note(nest, used)
        for gpa in sorted(wanted):
            wanted[gpa] = (wanted[gpa][0], at.choice(ACCESSES))
            expect(nest.protect(gpa, wanted[gpa][1]), f"{form}: gPA {gpa:#x} is mapped, protect "
                   "says no")
        makes_nothing(nest, f"{form}: protecting", lambda gpa: nest.protect(gpa, ALL), 1 << 46)
        same(nest, wanted, f"{form}, after all was protected anew")
        for gpa, page in nested.mappings(nest, nest.root, nest.form)[0].items():
            expect(page.leaf & nest.form.ad == used[gpa], f"{form}: A and D of gPA {gpa:#x} were "
                   f"{used[gpa]:#x} and became {page.leaf & nest.form.ad:#x}: whoever asks which "
                   "pages were used is lied to")


def note(nest, used):
    """Set A and D in leaf entries, as the processor does."""
    for gpa, bits in used.items():
        leaf = nested.walk.walk_nested(nest, gpa, nest.root, form=nest.form).refs[-1]
        nest.write(leaf.address, leaf.entry | bits)


@points(5, hint="5.5", needs="test_map")
def test_harvest(lab):
    """Which pages were used and written to is told once, across tables; nothing else changes, and
    no table is made."""
    for form in ("npt", "ept"):
        at = lab.random(form)
        nest = Nest(lab.program(SIM, "serve"))
        nest.begin(form)
        accessed, dirty = (bit for bit in (1 << 5, 1 << 6, 1 << 8, 1 << 9) if nest.form.ad & bit)
        first = at.randrange(1 << 20) * (2 << 20) + at.randrange(481, 512) * KB4
        wanted = {first + page * KB4: (frame(at), at.choice(ACCESSES))
                  for page in range(-2, 34) if page in (0, 31) or at.random() < 0.8}
        for gpa, place in wanted.items():
            nest.map(gpa, *place)
        used = {gpa: at.choice((0, accessed, accessed | dirty)) for gpa in wanted}
        used[first] = used[first + 31 * KB4] = accessed | dirty     # the ends of both halves
        note(nest, used)
        right = 0
        for page in range(32):
            bits = used.get(first + page * KB4, 0)
            right |= bool(bits & accessed) << page | bool(bits & dirty) << 32 + page
        told = nest.harvest(first)
        expect(told == right, f"{form}: of the 32 pages from gPA {first:#x} on, read are "
               f"{right & 0xffffffff:#010x} and written {right >> 32:#010x} (bit i: page i); told "
               f"were {told & 0xffffffff:#010x} and {told >> 32:#010x}")
        again = nest.harvest(first)
        expect(again == 0, f"{form}: asked again, with nothing used since, it tells {again:#x}")
        makes_nothing(nest, f"{form}: a harvest", nest.harvest, first + (1 << 45))
        same(nest, wanted, f"{form}, after the harvest")
        for gpa, page in nested.mappings(nest, nest.root, nest.form)[0].items():
            inside = first <= gpa < first + 32 * KB4
            expect(page.leaf & nest.form.ad == (0 if inside else used[gpa]),
                   f"{form}: A and D of gPA {gpa:#x} became {page.leaf & nest.form.ad:#x}; it lies "
                   f"{'in' if inside else 'outside of'} the 32 pages")
