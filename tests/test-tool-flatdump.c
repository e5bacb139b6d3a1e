/* SPDX-License-Identifier: MIT */
/*
 * test-tool-flatdump.c - the text of flat dumps, in all its forms: read and printed again it is the same text, byte for byte. With
 * file names as arguments: only that, of these.
 */
#include "tool-text.h"

#include "flatdump.h"

static const char *const type_text[] = {
    [MTREE_IO] = "i/o",      [MTREE_RAM] = "ram",      [MTREE_ROM] = "rom",
    [MTREE_ROMD] = "romd",   [MTREE_RAMD] = "ramd",    [MTREE_READWRITE] = "RW",
    [MTREE_READONLY] = "R-", [MTREE_WRITEONLY] = "-W", [MTREE_NOACCESS] = "--",
};

static struct flat_dump read_source(struct source *source)
{
    struct flat_dump dump;
    struct problem problem;

    assert_true(flatdump_is_in(source));
    if (!flatdump_parse(source, &dump, &problem))
        fail_msg("%s", problem.text);
    source_free(source);
    return dump;
}

static struct flat_dump read_text(const char *text)
{
    struct source source = text_source(text, strlen(text));

    return read_source(&source);
}

static void print_range(const struct flat_range *range, struct grown *out)
{
    grow(out, "  %016llx-%016llx (prio %d, %s%s): %s", (unsigned long long)range->first,
         (unsigned long long)range->last, range->priority, range->nonvolatile ? "nv-" : "", type_text[range->type],
         range->name);
    if (range->offset)
        grow(out, " @%016llx", (unsigned long long)range->offset);
    grow(out, "%s%s%s\n", range->owner ? " " : "", range->owner ? range->owner : "", range->kvm ? " KVM" : "");
}

static void print_again(const struct flat_dump *dump, struct grown *out)
{
    for (size_t i = 0; i < dump->n_views; i++) {
        const struct flat_view *view = &dump->views[i];

        grow(out, "FlatView #%zu\n", i);
        for (size_t k = 0; k < view->n_spaces; k++)
            grow(out, " AS \"%s\", root: %s%s%s\n", view->spaces[k].name, view->spaces[k].root,
                 view->spaces[k].alias ? ", alias " : "", view->spaces[k].alias ? view->spaces[k].alias : "");
        grow(out, " Root memory region: %s\n", view->root ? view->root : "(none)");
        for (size_t k = 0; k < view->n_ranges; k++)
            print_range(&view->ranges[k], out);
        grow(out, "%s\n", view->n_ranges ? "" : "  No rendered FlatView\n");
    }
}

static void same_again(const char *name, struct source *source)
{
    struct grown out = {0};
    struct source copy = text_source(source->text, source->size);
    struct flat_dump dump = read_source(&copy);

    print_again(&dump, &out);
    same_text(name, source, &out);
    free(out.text);
    flatdump_free(&dump);
    source_free(source);
}

static void recorded_dumps_read_and_print_again(void **state)
{
    static const char *const files[] = {"flat", "flatowner"};

    (void)state;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        for (size_t k = 0; k < 2; k++) {
            char name[256];
            struct source source;

            snprintf(name, sizeof(name), "qemu/%s/%s.txt", machines[i], files[k]);
            source = data_source(name);
            same_again(name, &source);
        }
}

static void owners_and_kvm_are_told(void **state)
{
    struct source source = data_source("qemu/x86_64-base-pc-kvm-1G-std-reset/flatowner.txt");
    struct flat_dump dump = read_source(&source);
    const struct flat_view *view = NULL;

    (void)state;
    assert_true(dump.shows_owner);
    for (size_t i = 0; i < dump.n_views && !view; i++)
        if (strcmp(dump.views[i].spaces[0].name, "memory") == 0)
            view = &dump.views[i];
    assert_non_null(view);
    assert_string_equal(view->root, "system");
    assert_true(view->ranges[0].kvm);
    assert_false(view->ranges[1].kvm);
    assert_string_equal(view->ranges[0].name, "pc.ram");
    assert_string_equal(view->ranges[0].owner, "owner:{obj path=/objects/pc.ram}");
    assert_string_equal(view->ranges[3].name, "pc.bios");
    assert_int_equal(view->ranges[3].offset, 0x20000);
    assert_string_equal(view->ranges[3].owner, "parent:{obj path=/machine/unattached}");
    flatdump_free(&dump);
    source = data_source("qemu/x86_64-base-pc-kvm-1G-std-reset/flat.txt");
    dump = read_source(&source);
    assert_false(dump.shows_owner);
    flatdump_free(&dump);
}

static void dispatch_trees_are_skipped(void **state)
{
    struct source source = data_source("flat-old/form-dispatch.txt");
    struct flat_dump dump = read_source(&source);

    (void)state;
    assert_int_equal(dump.n_views, 2);
    assert_int_equal(dump.views[0].n_ranges, 2);
    assert_int_equal(dump.views[0].ranges[0].type, MTREE_ROMD);
    assert_int_equal(dump.views[1].line, 17);
    assert_null(dump.views[1].root);
    assert_int_equal(dump.views[1].n_spaces, 2);
    assert_null(dump.views[1].spaces[0].alias);
    assert_string_equal(dump.views[1].spaces[1].root, "window");
    assert_string_equal(dump.views[1].spaces[1].alias, "system");
    flatdump_free(&dump);
}

static void spaces_had_views_of_their_own(void **state)
{
    struct source source = data_source("flat-old/form-spaces.txt");
    struct flat_dump dump = read_source(&source);

    (void)state;
    assert_int_equal(dump.n_views, 2);
    assert_null(dump.views[0].root);
    assert_int_equal(dump.views[0].n_spaces, 2);
    assert_string_equal(dump.views[0].spaces[1].name, "cpu-memory-0");
    assert_string_equal(dump.views[0].spaces[1].root, "");
    assert_int_equal(dump.views[0].n_ranges, 3);
    assert_int_equal(dump.views[0].ranges[2].offset, 0xc0000);
    assert_string_equal(dump.views[1].spaces[0].name, "I/O");
    flatdump_free(&dump);
}

static void views_had_only_a_root(void **state)
{
    struct source source = data_source("flat-old/form-root-only.txt");
    struct flat_dump dump = read_source(&source);

    (void)state;
    assert_int_equal(dump.n_views, 1);
    assert_int_equal(dump.views[0].n_spaces, 0);
    assert_string_equal(dump.views[0].root, "system");
    assert_int_equal(dump.views[0].ranges[2].priority, -1);
    flatdump_free(&dump);
}

static void names_may_hold_anything(void **state)
{
    static const char *const names[] = {"",        "a b",        "a@b",      "x @y",     "@",
                                        "KVM",     "owner:{",    "(none)",   "\xff\xfe", "alias x",
                                        ", alias", "[disabled]", "AS \"x\"", "\"",       "No rendered FlatView",
                                        "@12"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (unsigned form = 0; form < 8; form++) {
            bool offset = form & 1, owner = form & 2, kvm = form & 4;
            struct flat_dump dump;
            struct flat_range *range;
            char text[1024];

            snprintf(text, sizeof(text),
                     "FlatView #0\n AS \"%s\", root: %s\n Root memory region: r\n"
                     "  0000000000000000-0000000000000fff (prio 0, nv-rom): %s%s%s%s\n\n",
                     names[i], names[i], names[i], offset ? " @0000000000000100" : "",
                     owner ? " owner:{dev id=a} parent:{obj path=/b}" : "", kvm ? " KVM" : "");
            dump = read_text(text);
            range = &dump.views[0].ranges[0];
            assert_string_equal(dump.views[0].spaces[0].name, names[i]);
            assert_string_equal(dump.views[0].spaces[0].root, names[i]);
            assert_string_equal(range->name, names[i]);
            assert_int_equal(range->offset, offset ? 0x100 : 0);
            assert_int_equal(range->kvm, kvm);
            assert_true(range->nonvolatile);
            assert_int_equal(range->owner != NULL, owner);
            flatdump_free(&dump);
        }
}

#define TREE "address-space: s\n  0000000000000000-ffffffffffffffff (prio 0, i/o): root\n\n"
#define VIEW(number, name)                                                                                             \
    "FlatView #" number "\n AS \"" name "\", root: r\n Root memory region: r\n"                                        \
    "  0000000000000000-0000000000000fff (prio 0, ram): x\n\n"

/* Trees are skipped; of several dumps the last is taken, and all of it. */
static void the_last_dump_counts(void **state)
{
    static const struct {
        const char *text;
        const char *names;
    } texts[] = {
        {VIEW("0", "a") VIEW("1", "b"), "a b "},
        {TREE VIEW("0", "a") VIEW("1", "b"), "a b "},
        {VIEW("0", "a") TREE, "a "},
        {VIEW("0", "a") VIEW("1", "b") VIEW("0", "c"), "c "},
        {TREE VIEW("0", "a") TREE VIEW("0", "b") TREE, "b "},
        {"(qemu) info mtree -f\r\n" VIEW("0", "a") "(qemu) info mtree -f -o\n" VIEW("0", "b")
             VIEW("1", "c") "(qemu) quit\n",
         "b c "},
        {"(qemu) info mtree -f\n" VIEW("0", "a") "(qemu) info mtree -f\n", "a "},
        {VIEW("0", "a") "memory-region: x\n  0000000000000000-ffffffffffffffff (prio 0, i/o): x\n\n", "a "},
        {"  " VIEW("0", "a") "qemu-system-x86_64: terminating on signal 15\nanything\n", "a "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct flat_dump dump = read_text(texts[i].text);
        struct grown names = {0};

        for (size_t k = 0; k < dump.n_views; k++) {
            grow(&names, "%s ", dump.views[k].spaces[0].name);
            assert_int_equal(dump.views[k].n_ranges, 1);
        }
        assert_string_equal(names.text, texts[i].names);
        free(names.text);
        flatdump_free(&dump);
    }
}

#define HEAD "FlatView #0\n AS \"m\", root: r\n Root memory region: r\n"

static void nonsense_is_refused_with_its_line(void **state)
{
    static const struct bad_text bad[] = {
        {"", "dump.txt: no view in it"},
        {TREE, "dump.txt: no view in it"},
        {HEAD "  0000000000000000-00000000000000000 (prio 0, ram): x\n", "dump.txt:4: an address past 2^64"},
        {HEAD "  0000000000001000-0000000000000fff (prio 0, ram): x\n", "dump.txt:4: it ends before it begins"},
        {HEAD "  0000000000000000-0000000000000fff (prio 2147483648, ram): x\n", "dump.txt:4: a priority is"},
        {HEAD "  0000000000000000-0000000000000fff (prio 0, what): x\n", "dump.txt:4: a type that is not known"},
        {HEAD
         "  0000000000000000-0000000000000fff (prio 0, ram): x\n  0000000000000fff-0000000000001fff (prio 0, ram): x\n",
         "dump.txt:5: a view's ranges follow one another"},
        {HEAD
         "  0000000000002000-0000000000002fff (prio 0, ram): x\n  0000000000000000-0000000000001fff (prio 0, ram): x\n",
         "dump.txt:5: a view's ranges follow one another"},
        {HEAD "  0000000000000000-0000000000000fff (prio 0, ram): x @fffffffffffff001\n",
         "dump.txt:4: the offset with the size"},
        {HEAD "  hello\n", "dump.txt:4: not a line of `info mtree -f`"},
        {"FlatView #0\n AS m, root: r\n", "dump.txt:2: a space is said as"},
        {HEAD " Root memory region: r\n", "dump.txt:4: a view has one root"},
        {HEAD "  0000000000000000-0000000000000fff (prio 0, ram): x\n AS \"n\", root: r\n",
         "dump.txt:5: not a line of"},
        /* cut */
        {"FlatView #0", "dump.txt:1: the text ends within the heading"},
        {"FlatView #0\n AS \"m\", ro", "dump.txt:2: a space is said as"},
        {"FlatView #0\n AS \"m\", root: r", "dump.txt:2: the text ends within the heading"},
        {HEAD, "dump.txt:3: the text ends within the heading"},
        {HEAD "  No rend", "dump.txt:4: not a line of"},
        {HEAD "  0000000000", "dump.txt:4: two addresses stand together"},
        {HEAD "  0000000000000000-0000000000000f", "dump.txt:4: an address has 16"},
        {HEAD "  0000000000000000-0000000000000fff (prio 0, ram): x @00000000",
         "dump.txt:4: \"@\" is followed by an offset"},
        {HEAD "  0000000000000000-0000000000000fff (prio 0, ram): x owner:{dev id=a}\n"
              "  0000000000001000-0000000000001fff (prio 0, ram): x owner:{dev i",
         "dump.txt:5: every line before it names an owner"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct source source = text_source(bad[i].text, strlen(bad[i].text));
        struct flat_dump dump;
        struct problem problem;

        if (flatdump_parse(&source, &dump, &problem))
            fail_msg("taken, but it should be refused (%s): %s", bad[i].says, bad[i].text);
        if (strncmp(problem.text, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("refused as \"%s\", not as \"%s\"", problem.text, bad[i].says);
        source_free(&source);
    }
}

static void a_nul_is_refused_with_its_line(void **state)
{
    static const char text[] = HEAD "  0000000000000000-0000000000000fff (prio 0, ram): x\0y\n\n";
    struct source source = text_source(text, sizeof(text) - 1);
    struct flat_dump dump;
    struct problem problem;

    (void)state;
    assert_false(flatdump_parse(&source, &dump, &problem));
    assert_non_null(strstr(problem.text, "dump.txt:4: a NUL byte"));
    source_free(&source);
}

/* A recorded dump cut at every byte is read or refused. */
static void cut_anywhere(void **state)
{
    struct source source = data_source("qemu/x86_64-base-pc-kvm-1G-std-bios/flatowner.txt");
    size_t refused = 0, size = source.size < 6000 ? source.size : 6000;

    (void)state;
    for (size_t n = 0; n <= size; n++) {
        struct source cut = text_source(source.text, n);
        struct flat_dump dump;
        struct problem problem;

        if (flatdump_parse(&cut, &dump, &problem))
            flatdump_free(&dump);
        else
            refused++;
        source_free(&cut);
    }
    assert_true(refused > size * 9 / 10);
    source_free(&source);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_dumps_read_and_print_again),
        cmocka_unit_test(owners_and_kvm_are_told),
        cmocka_unit_test(dispatch_trees_are_skipped),
        cmocka_unit_test(spaces_had_views_of_their_own),
        cmocka_unit_test(views_had_only_a_root),
        cmocka_unit_test(names_may_hold_anything),
        cmocka_unit_test(the_last_dump_counts),
        cmocka_unit_test(nonsense_is_refused_with_its_line),
        cmocka_unit_test(a_nul_is_refused_with_its_line),
        cmocka_unit_test(cut_anywhere),
    };

    for (int i = 1; i < argc; i++) {
        struct source source = file_source(argv[i]);

        same_again(argv[i], &source);
    }
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
