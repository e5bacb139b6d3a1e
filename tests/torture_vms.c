/* SPDX-License-Identifier: MIT */
/*
 * torture_vms.c - vms that live for a moment, while others go on in the same process: each is destroyed as soon as its threads have
 * been joined, with whatever is still placed, listening and waiting to be freed.
 *
 * K, L of docs/concurrency.md. What a thread remembers of one vm (its hint) must be nothing to it in the next, which often has the same addresses in the host.
 */
#include "torture.h"

#define NONE GMEM_ATTRS_NONE
#define USERS 2u
#define USES 20u

struct brief {
    gmem_vm *vm;
    gmem_region *root, *ram, *device;
    gmem_space *space;
    uint64_t serial; /* what its RAM is full of: no two vms' are equal */
    long reached;    /* atomic */
};

static void device_ref(void *opaque)
{
    __atomic_fetch_add(&((struct brief *)opaque)->reached, 1, __ATOMIC_RELAXED);
}

static void device_unref(void *opaque)
{
    __atomic_fetch_sub(&((struct brief *)opaque)->reached, 1, __ATOMIC_RELAXED);
}

static gmem_result device_read(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs,
                               uint64_t *ret_value)
{
    struct brief *brief = opaque;

    (void)offset, (void)size, (void)attrs;
    *ret_value = brief->serial;
    return GMEM_OK;
}

static gmem_result device_write(void *opaque, uint64_t offset, unsigned size, struct gmem_attrs attrs, uint64_t value)
{
    struct brief *brief = opaque;

    (void)offset, (void)size, (void)attrs;
    if (__atomic_load_n(&brief->reached, __ATOMIC_RELAXED) <= 0)
        wrong("a device of a short-lived vm is called whose owner is not referenced");
    if (gmem_region_move(brief->device, PAGE + value % 4 * PAGE))
        wrong("a device of a short-lived vm can't move itself");
    return GMEM_OK;
}

static int hear(struct gmem_listener *listener, const struct gmem_section *section)
{
    long *ranges = listener->opaque;

    (void)section;
    ++*ranges;
    return 0;
}

static int hear_gone(struct gmem_listener *listener, const struct gmem_section *section)
{
    long *ranges = listener->opaque;

    (void)section;
    --*ranges;
    return 0;
}

static bool make(struct brief *brief)
{
    const struct gmem_mmio_ops ops = {.read = device_read, .write = device_write};
    const struct gmem_owner owner = {.opaque = brief, .ref = device_ref, .unref = device_unref};
    gmem_ram *ram = NULL;
    uint64_t i;

    if (gmem_vm_create(NULL, &brief->vm) || gmem_ram_create_anon(brief->vm, "ram", PAGE, &ram) ||
        gmem_region_create_ram(brief->vm, "ram", ram, &owner, &brief->ram) ||
        gmem_region_create_container(brief->vm, "root", GMEM_SIZE_ALL, NULL, &brief->root) ||
        gmem_region_create_mmio(brief->vm, "device", GMEM_SIZE(PAGE), &ops, brief, &owner, &brief->device) ||
        gmem_region_add(brief->root, 0, brief->ram) || gmem_region_add(brief->root, PAGE, brief->device) ||
        gmem_space_create(brief->vm, "space", brief->root, NULL, &brief->space))
        return false;
    for (i = 0; i < PAGE; i += 8)
        *(uint64_t *)(void *)((uint8_t *)gmem_ram_host(ram) + i) = brief->serial;
    gmem_ram_unref(ram);
    return true;
}

static void use(struct brief *brief, struct gmem_cache *cache, uint64_t i)
{
    uint64_t value = 0;

    if (gmem_ld64_native(brief->space, i * 8 % PAGE, NONE, &value) != GMEM_OK || value != brief->serial)
        wrong("a vm reads as another one, by a hint");
    if (gmem_cache_ld64_native(cache, i * 8 % PAGE, &value) != GMEM_OK || value != brief->serial)
        wrong("a vm reads as another one, by a cache");
    if (gmem_st32_native(brief->space, PAGE + i % 4 * PAGE, NONE, (uint32_t)i * 5) & ~GMEM_RESULT_DECODE)
        wrong("a device of a short-lived vm fails");
}

static void *use_brief(void *opaque)
{
    struct brief *brief = opaque;
    struct gmem_cache cache;
    gmem_view *view;
    uint64_t i;

    if (gmem_cache_init(&cache, brief->space, 0, PAGE, NONE))
        wrong("a cache of a short-lived vm is refused");
    view = gmem_space_view(brief->space);
    for (i = 0; i < USES; i++)
        use(brief, &cache, i);
    gmem_view_unref(view);
    gmem_cache_end(&cache);
    return NULL;
}

/* One that is made the same way, and used in turn with the other: what is remembered of the one must not do for the other. */
static void use_twin(struct brief *brief)
{
    struct brief twin = {.serial = ~brief->serial};
    struct gmem_cache caches[2];
    uint64_t i;

    if (!make(&twin) || gmem_cache_init(&caches[0], brief->space, 0, PAGE, NONE) ||
        gmem_cache_init(&caches[1], twin.space, 0, PAGE, NONE))
        wrong("a twin can't be made");
    for (i = 0; i < 8 && !what_was_wrong(); i++)
        use(i % 2 ? &twin : brief, &caches[i % 2], 8);
    gmem_cache_end(&caches[0]);
    gmem_cache_end(&caches[1]);
    gmem_vm_destroy(twin.vm);
}

static void live_and_end(uint64_t serial)
{
    struct brief brief = {.serial = serial};
    long ranges = 0;
    struct gmem_listener ear = {
        .struct_size = sizeof(ear), .opaque = &ranges, .region_add = hear, .region_del = hear_gone};
    pthread_t threads[USERS];
    struct gmem_cache cache;
    unsigned i, started;

    if (!make(&brief)) {
        wrong("a short-lived vm can't be made");
        gmem_vm_destroy(brief.vm);
        return;
    }
    use_twin(&brief);
    if (gmem_cache_init(&cache, brief.space, 0, PAGE, NONE) ||
        gmem_listener_register(brief.vm, serial % 2 ? brief.space : NULL, &ear)) {
        wrong("a short-lived vm can't be made");
        gmem_vm_destroy(brief.vm);
        return;
    }
    use(&brief, &cache, 0);
    for (started = 0; started < USERS; started++) {
        if (pthread_create(&threads[started], NULL, use_brief, &brief)) {
            wrong("no thread can be started");
            break;
        }
    }
    for (i = 0; i < USES; i++) {
        /* RAM stays where it is: only something over it, elsewhere, changes the view. */
        if (gmem_region_set_readonly(brief.ram, i % 2) || gmem_region_set_enabled(brief.device, i % 3))
            wrong("an edit of a short-lived vm is refused");
        use(&brief, &cache, i);
    }
    for (i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    gmem_cache_end(&cache);
    /* With a transaction open, too. */
    if (serial % 3 == 0 && (gmem_vm_begin(brief.vm) || gmem_region_remove(brief.root, brief.ram)))
        wrong("a last edit of a short-lived vm is refused");
    gmem_vm_destroy(brief.vm);
    if (brief.reached != 0)
        wrong("an owner is still referenced by a vm that is gone");
    if (ranges != 0)
        wrong("a listener of a vm that is gone knows of ranges");
}

void *short_lived_vms(void *stop)
{
    static uint64_t serials; /* atomic */

    do {
        live_and_end(__atomic_add_fetch(&serials, 1, __ATOMIC_RELAXED));
    } while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED));
    return NULL;
}
