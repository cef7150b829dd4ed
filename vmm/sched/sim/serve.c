/*
 * schedsim serve: the calls come in, the decisions go out. Time and the VMs are
 * with whoever asks, a program of its own; so what is answered here can only be
 * a decision, right or wrong. One call a line, words and numbers (times in ns):
 *
 *     init SCHED CPUS CHARGE                      charge: 0 exact, 1 tick
 *     add|set VM VCPU NOW and the ten parameters in the order of their struct
 *     remove|wake|block|timer VM VCPU NOW
 *     charge VM VCPU RAN NOW
 *     pick CPU NOW
 *
 * Answers: add and set "ok" or "refused"; pick VM VCPU UNTIL KEY OTHER OTHER_VCPU
 * OTHER_KEY RUNNABLE, VM 0 if idle; the others none. handouts/formats.md, 10.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/sched/sched.h"
#include "vmm/sched/sim/serve.h"

#define MAX_VMS   1024u
#define MAX_VCPUS 4u
#define NUMBERS   13u

static struct sched_unit units[MAX_VMS][MAX_VCPUS];
static const struct sched_ops *ops;

/* The numbers of a line; how many. */
static u32 numbers(char *text, u64 *number)
{
    u32 n = 0;

    for (char *end; n < NUMBERS; n++, text = end) {
        number[n] = strtoull(text, &end, 10);
        if (end == text)
            break;
    }
    return n;
}

static struct sched_params params_of(const u64 *n)
{
    return (struct sched_params){n[0], n[1], n[2], n[3], (u32)n[4], n[5], n[6], n[7], n[8], n[9]};
}

static bool begin(char *text)
{
    char name[16];
    unsigned cpus, charge;

    if (sscanf(text, "%15s %u %u", name, &cpus, &charge) != 3 || cpus > SCHED_MAX_CPUS)
        return false;
    ops = sched_find(name, strlen(name));
    memset(units, 0, sizeof(units));
    if (ops)
        ops->init(&(struct sched_setup){10000000, cpus, charge ? CHARGE_TICK : CHARGE_EXACT});
    return ops;
}

static void pick(u32 cpu, u64 now)
{
    const struct sched_choice c = ops->pick(cpu, now);
    const struct sched_reason r = ops->reason(cpu);

    printf("%u %u %llu %lld %u %u %lld %u\n", c.unit ? c.unit->vm : 0u, c.unit ? c.unit->vcpu : 0u,
           (unsigned long long)c.until, (long long)r.key, r.other ? r.other->vm : 0u,
           r.other ? r.other->vcpu : 0u, (long long)r.other_key, r.runnable);
    fflush(stdout);
}

/* New parameters, of a new unit or not; n: from NOW on. */
static void ask(struct sched_unit *u, bool add, u64 now, const u64 *n)
{
    const struct sched_params p = params_of(n);
    char why[160];
    int err;

    if (add) {
        u->params = p;
        err = sched_add(ops, u, now, why, sizeof(why));
    } else {
        err = sched_set(ops, u, &p, now, why, sizeof(why));
    }
    printf(err ? "refused\n" : "ok\n");
    fflush(stdout);
}

/* A call that concerns a unit: VM VCPU and what follows. False: there is none such. */
static bool unit_call(const char *word, const u64 *n, u32 count)
{
    bool add = strcmp(word, "add") == 0;

    if (count < 3 || n[0] - 1 >= MAX_VMS || n[1] >= MAX_VCPUS)
        return false;
    struct sched_unit *vm = units[n[0] - 1], *u = &vm[n[1]];
    if (add)
        *u = (struct sched_unit){.vm = (u16)n[0], .vcpu = (u8)n[1], .lead = vm};
    if ((add || strcmp(word, "set") == 0) && count == NUMBERS)
        ask(u, add, n[2], n + 3);
    else if (strcmp(word, "charge") == 0 && count == 4)
        ops->charge(u, n[2], n[3]);
    else if (strcmp(word, "wake") == 0)
        ops->wake(u, n[2]);
    else if (strcmp(word, "block") == 0)
        ops->block(u, n[2]);
    else if (strcmp(word, "timer") == 0)
        ops->timer(u, n[2]);
    else if (strcmp(word, "remove") == 0)
        ops->remove(u, n[2]);
    else
        return false;
    return true;
}

static bool call(char *line)
{
    char word[8];
    int used = 0;
    u64 n[NUMBERS] = {0};

    if (sscanf(line, "%7s%n", word, &used) != 1)
        return false;
    if (strcmp(word, "init") == 0)
        return begin(line + used);
    u32 count = numbers(line + used, n);
    if (!ops)
        return false;
    if (strcmp(word, "pick") != 0)
        return unit_call(word, n, count);
    if (count == 2 && n[0] < SCHED_MAX_CPUS)
        pick((u32)n[0], n[1]);
    return count == 2;
}

int serve(void)
{
    char line[512];

    while (fgets(line, sizeof(line), stdin))
        if (!call(line)) {
            fprintf(stderr, "schedsim: no call: %s", line);
            return 2;
        }
    return 0;
}
