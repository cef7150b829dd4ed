/*
 * Unit test of the schedulers' queue: random insertions, removals and moves
 * against an array, with many equal keys; order of equals; and that its depth stays small.
 */
#include "vmm/sched/sched.h"
#include "vmm/tests/check.h"

#define UNITS 200u

static struct sched_unit unit[UNITS];
static struct heap_node node[UNITS];
static struct heap heap;
static u64 rng = 99;

static u32 random_below(u32 n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (u32)((rng >> 33) % n);
}

static void fresh(void)
{
    heap = (struct heap){0};
    for (u32 i = 0; i < UNITS; i++) {
        unit[i] = (struct sched_unit){.vm = (u16)(i / 2 + 1), .vcpu = (u8)(i % 2)};
        node[i] = (struct heap_node){.unit = &unit[i]};
    }
}

/* The array's answer: the first of all, or of all but one. */
static struct heap_node *first_of(const struct sched_unit *but)
{
    struct heap_node *best = NULL;

    for (u32 i = 0; i < UNITS; i++) {
        struct heap_node *n = &node[i];
        if (!n->in || n->unit == but)
            continue;
        if (!best || n->key < best->key || (n->key == best->key && n->since < best->since))
            best = n; /* of equals the one with the lower number is met first */
    }
    return best;
}

/* The longest way to a node along right-hand children alone is the rank. */
static u32 depth_right(const struct heap_node *n)
{
    return n ? 1 + depth_right(n->right) : 0;
}

static u32 check_shape(const struct heap_node *n)
{
    if (!n)
        return 0;
    CHECK_EQ(n->rank, depth_right(n));
    CHECK(depth_right(n->left) >= depth_right(n->right));
    CHECK(!n->left || n->left->parent == n);
    CHECK(!n->right || n->right->parent == n);
    return 1 + check_shape(n->left) + check_shape(n->right);
}

static void check_all(void)
{
    struct heap_node *first = first_of(NULL);
    u32 visited = 0;

    CHECK(heap_first(&heap) == (first ? first->unit : NULL));
    CHECK(heap_first_but(&heap, NULL) == first);
    if (first)
        CHECK(heap_first_but(&heap, first->unit) == first_of(first->unit));
    for (struct heap_node *n = NULL; (n = heap_next(&heap, n));)
        visited++;
    CHECK_EQ(visited, heap.count);
}

static void test_random(void)
{
    fresh();
    for (u32 step = 0; step < 20000; step++) {
        check_about("step %u", step);
        u32 i = random_below(step % 4000 < 2000 ? UNITS : 10);
        s64 key = (s64)random_below(20) - 10;
        if (step % 3 == 0) /* often the root, as a scheduler does; harmless if it is in none */
            heap_move(step % 2 && heap.root ? heap.root : &node[i], key, random_below(3));
        else if (node[i].in)
            heap_remove(&node[i]);
        else
            heap_insert(&heap, &node[i], key, random_below(3));
        check_all();
        if (step % 100 == 0)
            CHECK_EQ(check_shape(heap.root), heap.count);
    }
    heap_remove(&node[0]);
    heap_remove(&node[0]); /* harmless */
    CHECK(!node[0].in);
}

static void test_depth(void)
{
    check_about("right-hand paths are short, whatever the order of insertion");
    for (u32 way = 0; way < 3; way++) {
        fresh();
        for (u32 i = 0; i < UNITS; i++)
            heap_insert(&heap, &node[i], way == 0 ? i : way == 1 ? UNITS - i : random_below(50), 0);
        CHECK(heap.root->rank <= 7); /* log2(201) */
        CHECK_EQ(check_shape(heap.root), UNITS);
    }
}

static void test_equals(void)
{
    check_about("equals: queued earlier, then VM, then vCPU");
    fresh();
    heap_insert(&heap, &node[5], 1, 10); /* VM 3, vCPU 1 */
    heap_insert(&heap, &node[4], 1, 10);
    heap_insert(&heap, &node[2], 1, 10);
    heap_insert(&heap, &node[9], 1, 9);
    static const u32 order[] = {9, 2, 4, 5};
    for (u32 i = 0; i < ARRAY_SIZE(order); i++) {
        CHECK(heap_first(&heap) == &unit[order[i]]);
        heap_remove(&node[order[i]]);
    }
    CHECK(heap_first(&heap) == NULL);
}

int main(void)
{
    test_random();
    test_depth();
    test_equals();
    return check_done("heap");
}
