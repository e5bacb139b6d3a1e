/* SPDX-License-Identifier: MIT */
/*
 * region_create.c - making regions of each kind: arguments checked, names, owners and ops copied, the region entered in its vm.
 *
 * A region is complete before anybody can find it. It is entered with the writer turn, which nothing before that needs; until
 * then a failure frees it.
 */
#include "region.h"
#include "iommu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of text, its end included; 0: it is too long. NULL is the empty text. */
static size_t text_size(const char *text)
{
    size_t length = text ? strnlen(text, GMEM_NAME_MAX + 1) : 0;

    return length > GMEM_NAME_MAX ? 0 : length + 1;
}

/* NULL: no memory. */
static struct gmem__owner *owner_copy(const struct gmem_owner *owner)
{
    size_t size = text_size(owner->label);
    struct gmem__owner *copy = malloc(sizeof(*copy) + size);

    if (!copy)
        return NULL;
    copy->opaque = owner->opaque;
    copy->ref = owner->ref;
    copy->unref = owner->unref;
    memcpy(copy->label, owner->label ? owner->label : "", size);
    return copy;
}

/* A region that nothing knows of yet; region_enrol() makes it one of the vm's. */
static int region_new(gmem_vm *vm, enum gmem_kind kind, const char *name, gmem_size size,
                      const struct gmem_owner *owner, gmem_region **ret_region)
{
    size_t name_size = text_size(name);
    gmem_region *region;

    if (gmem__size_is_zero(size))
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\" of size 0", name ? name : "");
    if (name_size == 0 || (owner && text_size(owner->label) == 0))
        return gmem__refuse(vm, -EINVAL, "a name or label is too long");
    if (owner && owner->lock.lock && !owner->lock.unlock)
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\": its lock can't be unlocked", name ? name : "");
    if (owner && owner->guard && owner->guard->vm != vm)
        return gmem__refuse(vm, -EXDEV, "region \"%.255s\": its guard belongs to another vm", name ? name : "");
    region = calloc(1, sizeof(*region) + name_size);
    if (region && owner)
        region->owner = owner_copy(owner);
    if (!region || (owner && !region->owner)) {
        free(region);
        return gmem__refuse(vm, -ENOMEM, "no memory for region \"%.255s\"", name ? name : "");
    }
    memcpy(region->name, name ? name : "", name_size);
    region->vm = vm;
    region->kind = kind;
    region->refs = 1;
    region->p.last = gmem__size_last(size);
    if (kind == GMEM_KIND_ROM)
        region->p.attrs = GMEM_RANGE_READONLY;
    else if (kind == GMEM_KIND_ROMD)
        region->p.attrs = GMEM_RANGE_ROMD;
    gmem__link_init(&region->vm_link);
    *ret_region = region;
    return 0;
}

/* Make a whole region one of the vm's, and an alias show its target; on error it is freed. */
static int region_enrol(gmem_region *region, gmem_region *target, uint64_t target_from, gmem_region **ret_region)
{
    gmem_vm *vm = region->vm;
    struct gmem__props props;
    int err;

    err = gmem__turn_acquire(vm);
    if (err) {
        gmem__region_free(region);
        return err;
    }
    if (region->ops && (__atomic_load_n(&vm->watch, __ATOMIC_RELAXED) & GMEM__WATCH_STATS) &&
        gmem__region_count(region)) {
        gmem__turn_release(vm);
        gmem__region_free(region);
        return gmem__refuse(vm, -ENOMEM, "no memory for a region's statistics");
    }
    /* Its block may have been resized since: that is done with the turn. */
    if (region->ram)
        region->p.last = gmem_ram_size(region->ram) - 1;
    gmem__link_before(&vm->regions, &region->vm_link);
    region->id = vm->next_region_id++;
    GMEM__COUNT(vm, regions, 1);
    if (target) {
        props = region->p;
        props.target = gmem_region_ref(target);
        props.target_from = target_from;
        gmem__region_apply(region, &props);
    }
    gmem__turn_release(vm);
    *ret_region = region;
    return 0;
}

static int create_plain(gmem_vm *vm, enum gmem_kind kind, const char *name, gmem_size size,
                        const struct gmem_owner *owner, gmem_region **ret_region)
{
    gmem_region *region;
    int err;

    if (!vm || !ret_region)
        return -EINVAL;
    err = region_new(vm, kind, name, size, owner, &region);
    return err ? err : region_enrol(region, NULL, 0, ret_region);
}

int gmem_region_create_container(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_owner *owner,
                                 gmem_region **ret_region)
{
    return create_plain(vm, GMEM_KIND_CONTAINER, name, size, owner, ret_region);
}

int gmem_region_create_reserved(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_owner *owner,
                                gmem_region **ret_region)
{
    gmem_region *region;
    int err;

    if (!vm || !ret_region)
        return -EINVAL;
    err = region_new(vm, GMEM_KIND_RESERVED, name, size, owner, &region);
    if (err)
        return err;
    if (gmem__region_device_owned(region, owner)) {
        gmem__region_free(region);
        return gmem__refuse(vm, -ENOMEM, "no memory for a region's guard");
    }
    return region_enrol(region, NULL, 0, ret_region);
}

/* Make ops, which are resolved, those of a region that nothing knows of yet; else there is no region. */
static int set_ops(gmem_region *region, const struct gmem_mmio_ops *ops, void *opaque, const struct gmem_owner *owner)
{
    gmem_vm *vm = region->vm;
    int err;

    region->opaque = opaque;
    err = gmem__mmio_ops_get(vm, ops, &region->ops);
    if (!err)
        err = gmem__region_device_owned(region, owner);
    if (!err)
        return 0;
    gmem__region_free(region);
    return gmem__refuse(vm, -ENOMEM, "no memory for a region's callbacks");
}

static int create_on_ram(gmem_vm *vm, enum gmem_kind kind, const char *name, gmem_ram *ram,
                         const struct gmem_mmio_ops *ops, void *opaque, const struct gmem_owner *owner,
                         gmem_region **ret_region)
{
    gmem_region *region;
    int err;

    if (!vm || !ram || !ret_region)
        return -EINVAL;
    if (gmem_ram_vm(ram) != vm)
        return gmem__refuse(vm, -EXDEV, "RAM block \"%s\" belongs to another vm", gmem_ram_id(ram));
    if (kind != GMEM_KIND_ROM && (gmem_ram_flags(ram) & GMEM_RAM_READONLY))
        return gmem__refuse(vm, -EINVAL, "RAM block \"%s\" is mapped read-only: only a rom region can be made of it",
                            gmem_ram_id(ram));
    err = region_new(vm, kind, name, gmem_size_of(gmem_ram_size(ram)), owner, &region);
    if (err)
        return err;
    region->ram = gmem_ram_ref(ram);
    err = ops ? set_ops(region, ops, opaque, owner) : 0;
    return err ? err : region_enrol(region, NULL, 0, ret_region);
}

int gmem_region_create_ram(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                           gmem_region **ret_region)
{
    return create_on_ram(vm, GMEM_KIND_RAM, name, ram, NULL, NULL, owner, ret_region);
}

int gmem_region_create_ram_device(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                                  gmem_region **ret_region)
{
    return create_on_ram(vm, GMEM_KIND_RAM_DEVICE, name, ram, NULL, NULL, owner, ret_region);
}

int gmem_region_create_rom(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_owner *owner,
                           gmem_region **ret_region)
{
    return create_on_ram(vm, GMEM_KIND_ROM, name, ram, NULL, NULL, owner, ret_region);
}

/* min and max resolved to 1, 2, 4 or 8; false if they are not. */
static bool resolve_widths(uint8_t *min, uint8_t *max)
{
    if (*min == 0)
        *min = 1;
    if (*max == 0)
        *max = 8;
    return (*min & (*min - 1)) == 0 && (*max & (*max - 1)) == 0 && *max <= 8 && *min <= *max;
}

static int resolve_ops(gmem_vm *vm, const char *name, const struct gmem_mmio_ops *ops, struct gmem_mmio_ops *ret_ops)
{
    struct gmem_mmio_ops known;

    if (!ops || !ops->read || !ops->write)
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\" needs a read and a write callback", name ? name : "");
    known = *ops;
    if (!resolve_widths(&known.valid.min, &known.valid.max) || !resolve_widths(&known.impl.min, &known.impl.max))
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\": widths must be 1, 2, 4 or 8, min at most max",
                            name ? name : "");
    if ((unsigned)known.endian > GMEM_ENDIAN_BIG)
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\": no such byte order", name ? name : "");
    if (known.endian == GMEM_ENDIAN_NATIVE)
        known.endian = vm->endian;
    *ret_ops = known;
    return 0;
}

int gmem_region_create_mmio(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_mmio_ops *ops,
                            void *opaque, const struct gmem_owner *owner, gmem_region **ret_region)
{
    struct gmem_mmio_ops known;
    gmem_region *region;
    int err;

    if (!vm || !ret_region)
        return -EINVAL;
    err = resolve_ops(vm, name, ops, &known);
    if (!err)
        err = region_new(vm, GMEM_KIND_MMIO, name, size, owner, &region);
    if (!err)
        err = set_ops(region, &known, opaque, owner);
    return err ? err : region_enrol(region, NULL, 0, ret_region);
}

int gmem_region_create_iommu(gmem_vm *vm, const char *name, gmem_size size, const struct gmem_iommu_ops *ops,
                             void *opaque, const struct gmem_owner *owner, gmem_region **ret_region)
{
    struct gmem__iommu *iommu;
    gmem_region *region;
    int err;

    if (!vm || !ret_region)
        return -EINVAL;
    if (!ops || !ops->translate || !gmem__iommu_mask_ok(ops->page_size ? ops->page_size - 1 : 0))
        return gmem__refuse(vm, -EINVAL, "region \"%.255s\" needs a translate callback, and pages of a power of two",
                            name ? name : "");
    err = region_new(vm, GMEM_KIND_IOMMU, name, size, owner, &region);
    if (err)
        return err;
    if (gmem__iommu_new(ops, opaque, &iommu)) {
        gmem__region_free(region);
        return gmem__refuse(vm, -ENOMEM, "no memory for a region's callbacks");
    }
    region->opaque = iommu;
    return region_enrol(region, NULL, 0, ret_region);
}

int gmem_region_create_romd(gmem_vm *vm, const char *name, gmem_ram *ram, const struct gmem_mmio_ops *ops, void *opaque,
                            const struct gmem_owner *owner, gmem_region **ret_region)
{
    struct gmem_mmio_ops known;
    int err;

    if (!vm)
        return -EINVAL;
    err = resolve_ops(vm, name, ops, &known);
    return err ? err : create_on_ram(vm, GMEM_KIND_ROMD, name, ram, &known, opaque, owner, ret_region);
}

int gmem_region_create_alias(gmem_vm *vm, const char *name, gmem_region *target, uint64_t offset, gmem_size size,
                             const struct gmem_owner *owner, gmem_region **ret_region)
{
    gmem_region *region;
    int err;

    if (!vm || !target || !ret_region)
        return -EINVAL;
    if (target->vm != vm)
        return gmem__refuse(vm, -EXDEV, "alias \"%.255s\": its target belongs to another vm", name ? name : "");
    if (!gmem__size_is_zero(size) && gmem__range_overflows(offset, gmem__size_last(size)))
        return gmem__refuse(vm, -EOVERFLOW, "alias \"%.255s\" reaches past 2^64 in \"%s\"", name ? name : "",
                            target->name);
    err = region_new(vm, GMEM_KIND_ALIAS, name, size, owner, &region);
    return err ? err : region_enrol(region, target, offset, ret_region);
}
