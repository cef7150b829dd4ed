/*
 * tlbsim: the TLB model on a developer's machine.
 *
 *     tlbsim [-v] 4k=SETSxWAYS [2m=SETSxWAYS] [1g=SETSxWAYS] < CALLS
 *
 * A call is a line; numbers are decimal or 0x hex, SIZE is 0 (4K), 1 (2M) or
 * 2 (1G). What a call gives is printed with -v, the sums at the end in any case.
 *
 *     a ROOT ADDRESS SIZE    an access: looked up, and inserted if it missed
 *     l ROOT ADDRESS         looked up        i ROOT ADDRESS SIZE    inserted
 *     p ROOT ADDRESS         INVLPG           r ROOT    CR3 loaded   f    all
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/mmu/tlb.h"

static const char *const names[] = {"4k", "2m", "1g", "miss"};

static int usage(const char *problem)
{
    fprintf(stderr, "tlbsim: %s\n", problem);
    return 2;
}

/* One of the words SIZE=SETSxWAYS. */
static bool parse_shape(const char *word, struct tlb_shape shape[TLB_SIZES])
{
    char name[3];
    unsigned sets, ways;

    if (sscanf(word, "%2[a-z0-9]=%ux%u", name, &sets, &ways) != 3 || sets > 1u << 20 ||
        ways > 1u << 10)
        return false;
    for (u32 size = 0; size < TLB_SIZES; size++)
        if (!strcmp(name, names[size])) {
            shape[size] = (struct tlb_shape){sets, ways};
            return true;
        }
    return false;
}

static enum tlb_size access_page(struct tlb *t, u64 root, u64 address, enum tlb_size size)
{
    enum tlb_size found = tlb_lookup(t, root, address);
    if (found == TLB_MISS)
        tlb_insert(t, root, address, size);
    return found;
}

/* Carry out one line; false if it makes no sense. */
static bool carry_out(struct tlb *t, const char *line, bool loud)
{
    char call = 0;
    uint64_t root = 0, address = 0, size = 0;
    int words = sscanf(line, "%c %" SCNi64 " %" SCNi64 " %" SCNi64, &call, (int64_t *)&root,
                       (int64_t *)&address, (int64_t *)&size);
    static const struct {
        char call;
        int words;
    } calls[] = {{'a', 4}, {'l', 3}, {'i', 4}, {'p', 3}, {'r', 2}, {'f', 1}};
    u32 kind = 0;

    while (kind < 6 && calls[kind].call != call)
        kind++;
    if (kind == 6 || words < calls[kind].words || size >= TLB_SIZES)
        return false;
    enum tlb_size said = TLB_MISS;
    switch (call) {
    case 'a':
        said = access_page(t, root, address, (enum tlb_size)size);
        break;
    case 'l':
        said = tlb_lookup(t, root, address);
        break;
    case 'i':
        said = tlb_insert(t, root, address, (enum tlb_size)size);
        break;
    case 'p':
        tlb_flush_address(t, root, address);
        break;
    case 'r':
        tlb_flush_root(t, root);
        break;
    default:
        tlb_flush_all(t);
        break;
    }
    if (loud && strchr("ali", call))
        puts(names[said]);
    return true;
}

int main(int argc, char **argv)
{
    struct tlb_shape shape[TLB_SIZES] = {{0}};
    struct tlb t;
    char line[128];
    bool loud = argc > 1 && !strcmp(argv[1], "-v");

    for (int i = 1 + loud; i < argc; i++)
        if (!parse_shape(argv[i], shape))
            return usage("an array is SIZE=SETSxWAYS, such as 4k=16x4");
    u64 room = tlb_room(shape);
    if (!room)
        return usage("sets must be powers of two, with ways, and there must be 4K pages");
    struct tlb_entry *entries = calloc(room, sizeof(*entries));
    if (!entries)
        return usage("no memory");
    tlb_init(&t, shape, entries);
    while (fgets(line, sizeof(line), stdin))
        if (!carry_out(&t, line, loud))
            return usage("a call makes no sense");
    printf("hits=%" PRIu64 " misses=%" PRIu64 " evicted=%" PRIu64 " flushed=%" PRIu64 "\n",
           (uint64_t)t.counts.hits, (uint64_t)t.counts.misses, (uint64_t)t.counts.evicted,
           (uint64_t)t.counts.flushed);
    free(entries);
    return 0;
}
