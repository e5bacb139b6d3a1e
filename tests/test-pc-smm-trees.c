/* SPDX-License-Identifier: MIT */
/*
 * test-pc-smm-trees.c - the spaces of system management mode, printed, are those of recorded machines; and a machine without the
 * mode has nothing of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pc-smm.h"

#define TREE_MAX 32768u

/* The trees of a machine, each followed by an empty line; the caller's. */
static int take(void *opaque, const char *bytes, size_t len)
{
    char *text = opaque;
    size_t used = strlen(text);

    if (used + len >= TREE_MAX)
        return -ENOSPC;
    memcpy(text + used, bytes, len);
    text[used + len] = 0;
    return 0;
}

static char *print_trees(struct bench *bench)
{
    const struct gmem_print_options options = {.struct_size = sizeof(options), .flags = GMEM_PRINT_DISABLED};
    char *text = calloc(1, TREE_MAX);

    assert_non_null(text);
    assert_int_equal(gmem_print_tree(machine_vm(bench->machine), &options, take, text), 0);
    return text;
}

static char *load(const char *name)
{
    const char *data = getenv("GMEM_TEST_DATA");
    char path[4096], *text = calloc(1, TREE_MAX);
    FILE *file;

    assert_non_null(data);
    assert_non_null(text);
    snprintf(path, sizeof(path), "%s/smm/%s", data, name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s can't be opened", path);
    assert_true(fread(text, 1, TREE_MAX - 1, file) > 0);
    fclose(file);
    return text;
}

/* What follows the line head in text, up to an empty line; the caller's. */
static char *below(const char *text, const char *head)
{
    const char *begin = strstr(text, head), *end;
    char *part;

    if (!begin)
        fail_msg("no \"%s\" in:\n%s", head, text);
    begin += strlen(head);
    end = strstr(begin, "\n\n");
    part = strndup(begin, end ? (size_t)(end + 1 - begin) : strlen(begin));
    assert_non_null(part);
    return part;
}

/* with is not longer than what. */
static void replace(char *text, const char *what, const char *with)
{
    char *at = strstr(text, what);

    assert_non_null(at);
    memcpy(at, with, strlen(with));
    memmove(at + strlen(with), at + strlen(what), strlen(at + strlen(what)) + 1);
}

/* Without the word for each region's kind, for which one release of QEMU printed the access. */
static void without_kinds(char *text)
{
    char *out = text;

    for (const char *in = text; *in;) {
        const char *end = strncmp(in, ", ", 2) == 0 ? strchr(in, ')') : NULL;

        in = end ? end : in;
        *out++ = *in++;
    }
    *out = 0;
}

static struct bench *opened(unsigned cpus, enum pc_accel accel)
{
    struct bench *bench = bench_new();
    struct pc_config config = smm_config(bench, true);

    config.accel = accel;
    config.cpus = cpus;
    bench_open(bench, &config);
    cfg_write8(bench, I440FX_FN, SMRAM, 0x0a);
    return bench;
}

/* The space for KVM's processors. */
static void test_kvm(void **state)
{
    static const char head[] = "address-space: KVM-SMRAM\n";
    static const enum pc_accel accels[] = {PC_ACCEL_NONE, PC_ACCEL_INTERP};
    char *recorded = load("kvm.txt"), *theirs = below(recorded, head);

    (void)state;
    without_kinds(theirs);
    for (unsigned i = 0; i < 2; i++) {
        struct bench *bench = opened(1, accels[i]);
        char *text = print_trees(bench), *ours = below(text, head);

        without_kinds(ours);
        assert_string_equal(ours, theirs);
        assert_int_equal(strstr(text, "cpu-smm-0") != NULL, accels[i] == PC_ACCEL_INTERP);
        free(ours);
        free(text);
        bench_free(bench);
    }
    free(theirs);
    free(recorded);
}

/*
 * The space of an interpreted processor; they share one root. Two things differ: the space's name; and the priority of smram,
 * which is that of its place in KVM-SMRAM, a space that the recorded machine does not have.
 */
static void test_interpreted(void **state)
{
    static const char *const last[] = {"address-space: cpu-smm-0\n", "address-space: cpu-smm-1\n"};
    static const char smram_head[] = "memory-region: smram\n";
    char *recorded = load("tcg.txt");
    char *space = below(recorded, "address-space: tcg-cpu-smm-0\n"), *smram = below(recorded, smram_head);

    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct bench *bench = opened(cpus, PC_ACCEL_INTERP);
        char *text = print_trees(bench);
        char *our_space = below(text, last[cpus - 1]), *our_smram = below(text, smram_head);

        replace(our_smram, "(prio 10, i/o): smram\n", "(prio 0, i/o): smram\n");
        assert_string_equal(our_space, space);
        assert_string_equal(our_smram, smram);
        if (cpus == 2)
            assert_non_null(strstr(text, "address-space: cpu-smm-0\naddress-space: cpu-smm-1\n"));
        free(our_smram);
        free(our_space);
        free(text);
        bench_free(bench);
    }
    free(smram);
    free(space);
    free(recorded);
}

static void test_without(void **state)
{
    static const char *const names[] = {"SMRAM", "cpu-smm", ": smram\n", "smram-low", "smram-pci"};
    struct bench *bench = bench_new();
    struct pc_config config = smm_config(bench, true);
    char *text;

    (void)state;
    config.smm = false;
    bench_open(bench, &config);
    text = print_trees(bench);
    assert_non_null(strstr(text, "smram-region"));
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_null(strstr(text, names[i]));
    free(text);
    bench_free(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kvm),
        cmocka_unit_test(test_interpreted),
        cmocka_unit_test(test_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
