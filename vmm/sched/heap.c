/*
 * Leftist heaps: see heap.h. Of a node's two children the left one has the
 * longer right-hand path; such a path then has at most log2(n + 1) nodes.
 */
#include "vmm/sched/heap.h"
#include "vmm/sched/sched.h"

static bool goes_before(const struct heap_node *a, const struct heap_node *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    if (a->since != b->since)
        return a->since < b->since;
    if (a->unit->vm != b->unit->vm)
        return a->unit->vm < b->unit->vm;
    return a->unit->vcpu < b->unit->vcpu;
}

static u32 rank_of(const struct heap_node *n)
{
    return n ? n->rank : 0;
}

/* Put the longer right-hand path to the left; whether the node's rank changed. */
static bool settle(struct heap_node *n)
{
    u32 before = n->rank;

    if (rank_of(n->left) < rank_of(n->right)) {
        struct heap_node *left = n->left;
        n->left = n->right;
        n->right = left;
    }
    n->rank = rank_of(n->right) + 1;
    return n->rank != before;
}

/* One heap of two, neither of them empty: the lower root stays, the other goes
 * into its right half. */
static struct heap_node *merge(struct heap_node *a, struct heap_node *b)
{
    if (goes_before(b, a)) {
        struct heap_node *lower = b;
        b = a;
        a = lower;
    }
    a->right = a->right ? merge(a->right, b) : b;
    a->right->parent = a;
    settle(a);
    return a;
}

void heap_insert(struct heap *h, struct heap_node *n, s64 key, u64 since)
{
    n->left = n->right = n->parent = NULL;
    n->rank = 1;
    n->key = key;
    n->since = since;
    n->in = h;
    h->root = h->root ? merge(h->root, n) : n;
    h->root->parent = NULL;
    h->count++;
}

/* Its two halves, merged, take its place; ranks above may have changed. */
void heap_remove(struct heap_node *n)
{
    struct heap *h = n->in;

    if (!h)
        return;
    struct heap_node *rest = n->right ? merge(n->left, n->right) : n->left, *up = n->parent;
    if (rest)
        rest->parent = up;
    if (!up)
        h->root = rest;
    else if (up->left == n)
        up->left = rest;
    else
        up->right = rest;
    while (up && settle(up))
        up = up->parent;
    h->count--;
    n->in = NULL;
}

/* Not inlined: who comes the short way need not save its registers. */
static __attribute__((noinline)) void take_out_and_in(struct heap_node *n)
{
    struct heap *h = n->in;

    heap_remove(n);
    heap_insert(h, n, n->key, n->since);
}

/* The root of two: the other one, a leaf, is on its left. They change places. */
static void swap_two(struct heap_node *n, struct heap_node *other)
{
    n->in->root = n->parent = other;
    n->left = other->parent = NULL;
    other->left = n;
}

void heap_move(struct heap_node *n, s64 key, u64 since)
{
    struct heap *h = n->in;

    if (!h)
        return;
    n->key = key;
    n->since = since;
    if (h->count > 2 || h->root != n)
        take_out_and_in(n);
    else if (n->left && goes_before(n->left, n))
        swap_two(n, n->left);
}

struct heap_node *heap_lower(struct heap_node *a, struct heap_node *b)
{
    return goes_before(b, a) ? b : a;
}

/* Down first, left before right; then up to the next turn to the right. */
struct heap_node *heap_next(const struct heap *h, const struct heap_node *n)
{
    if (!n)
        return h->root;
    if (n->left)
        return n->left;
    if (n->right)
        return n->right;
    while (n->parent && (n->parent->right == n || !n->parent->right))
        n = n->parent;
    return n->parent ? n->parent->right : NULL;
}
