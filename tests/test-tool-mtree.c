/* SPDX-License-Identifier: MIT */
/*
 * test-tool-mtree.c - the text of trees, in all its forms and with what sessions add: read and printed again it is the same
 * text, byte for byte. With file names as arguments: only that, of these.
 */
#include "tool-text.h"

#include "mtree.h"

static const char *const type_text[] = {
    [MTREE_IO] = "i/o",      [MTREE_RAM] = "ram",      [MTREE_ROM] = "rom",
    [MTREE_ROMD] = "romd",   [MTREE_RAMD] = "ramd",    [MTREE_READWRITE] = "RW",
    [MTREE_READONLY] = "R-", [MTREE_WRITEONLY] = "-W", [MTREE_NOACCESS] = "--",
};

static struct mtree read_source(struct source *source)
{
    struct mtree mtree;
    struct problem problem;

    if (!mtree_parse(source, &mtree, &problem))
        fail_msg("%s", problem.text);
    source_free(source);
    return mtree;
}

static struct mtree read_text(const char *text)
{
    struct source source = text_source(text, strlen(text));

    return read_source(&source);
}

static void print_node(const struct mtree_node *node, struct grown *out)
{
    grow(out, "%*s%016llx-%016llx (prio %d, %s%s): ", (int)node->indent, "", (unsigned long long)node->first,
         (unsigned long long)node->last, node->priority, node->nonvolatile ? "nv-" : "", type_text[node->type]);
    if (node->target)
        grow(out, "alias %s @%s %016llx-%016llx", node->name, node->target, (unsigned long long)node->target_first,
             (unsigned long long)node->target_last);
    else
        grow(out, "%s", node->name);
    grow(out, "%s%s%s\n", node->disabled ? " [disabled]" : "", node->owner ? " " : "", node->owner ? node->owner : "");
}

static void print_again(const struct mtree *mtree, struct grown *out)
{
    for (size_t i = 0; i < mtree->n_sections; i++) {
        const struct mtree_section *section = &mtree->sections[i];

        for (size_t k = 0; k < section->n_names; k++)
            grow(out, "%s: %s\n", section->region ? "memory-region" : "address-space", section->names[k]);
        for (size_t k = 0; k < section->n_nodes; k++)
            print_node(&mtree->nodes[section->first_node + k], out);
        grow(out, "\n");
    }
}

static void same_again(const char *name, struct source *source)
{
    struct grown out = {0};
    struct source copy = text_source(source->text, source->size);
    struct mtree mtree = read_source(&copy);

    print_again(&mtree, &out);
    /* Who kept a dump may have dropped the empty line at its end. */
    if (source->size > 1 && memcmp(source->text + source->size - 2, "\n\n", 2) != 0)
        out.size--;
    same_text(name, source, &out);
    free(out.text);
    mtree_free(&mtree);
    source_free(source);
}

static void recorded_trees_read_and_print_again(void **state)
{
    static const char *const files[] = {"mtree", "disabled", "full"};

    (void)state;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
        for (size_t k = 0; k < 3; k++) {
            char name[256];
            struct source source;

            snprintf(name, sizeof(name), "qemu/%s/%s.txt", machines[i], files[k]);
            source = data_source(name);
            same_again(name, &source);
        }
}

static void old_trees_read_and_print_again(void **state)
{
    struct source source = data_source("mtree-old/pc-4g-cirrus.txt");
    struct mtree mtree;

    (void)state;
    same_again("pc-4g-cirrus", &source);
    source = data_source("mtree-old/pc-4g-cirrus.txt");
    mtree = read_source(&source);
    assert_true(mtree.shows_disabled);
    assert_false(mtree.shows_owner);
    assert_int_equal(mtree.nodes[0].type, MTREE_READWRITE);
    mtree_free(&mtree);
    source = data_source("smm/kvm.txt");
    same_again("smm/kvm", &source);
}

/* The parent of each node, by the definition: the nearest line above in the section that is less indented. */
static void check_parents(const struct mtree *mtree)
{
    for (size_t s = 0; s < mtree->n_sections; s++) {
        const struct mtree_section *section = &mtree->sections[s];

        for (size_t i = 0; i < section->n_nodes; i++) {
            size_t n = section->first_node + i, parent = SIZE_MAX;

            for (size_t k = n; k-- > section->first_node && parent == SIZE_MAX;)
                if (mtree->nodes[k].indent < mtree->nodes[n].indent)
                    parent = k;
            assert_int_equal(mtree->nodes[n].parent, parent);
        }
    }
}

static void parents_are_by_indentation(void **state)
{
    struct source source;
    struct mtree mtree;

    (void)state;
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        char name[256];

        snprintf(name, sizeof(name), "qemu/%s/mtree.txt", machines[i]);
        source = data_source(name);
        mtree = read_source(&source);
        check_parents(&mtree);
        mtree_free(&mtree);
    }
    /* Below a root that is not printed: what jumps in is below nothing, and so is what comes back less. */
    mtree = read_text("address-space: a\n"
                      "      0000000000000000-0000000000000001 (prio 0, i/o): x\n"
                      "        0000000000000000-0000000000000001 (prio 0, i/o): in-x\n"
                      "    0000000000000000-0000000000000001 (prio 0, i/o): y\n"
                      "            0000000000000000-0000000000000001 (prio 0, i/o): in-y\n"
                      "      0000000000000000-0000000000000001 (prio 0, i/o): in-y-too\n\n");
    check_parents(&mtree);
    assert_int_equal(mtree.nodes[4].parent, 2);
    mtree_free(&mtree);
}

static void spaces_on_one_root_are_headed_together(void **state)
{
    struct mtree mtree = read_text("address-space: a\naddress-space: b\n"
                                   "  0000000000000000-ffffffffffffffff (prio 0, i/o): root\n\n"
                                   "address-space: hidden\n\n"
                                   "address-space: c\n"
                                   "  0000000000000000-ffffffffffffffff (prio 0, i/o): other\n\n");

    (void)state;
    assert_int_equal(mtree.n_sections, 3);
    assert_int_equal(mtree.sections[0].n_names, 2);
    assert_string_equal(mtree.sections[0].names[1], "b");
    assert_int_equal(mtree.sections[1].n_nodes, 0);
    assert_int_equal(mtree.sections[1].n_names, 1);
    assert_string_equal(mtree.sections[2].names[0], "c");
    assert_int_equal(mtree.nodes[1].line, 8);
    mtree_free(&mtree);
}

static void bare_names_were_headings(void **state)
{
    struct source source = data_source("mtree-old/form-names.txt");
    struct mtree mtree = read_source(&source);

    (void)state;
    assert_int_equal(mtree.n_sections, 4);
    assert_string_equal(mtree.sections[0].names[0], "memory");
    assert_false(mtree.sections[0].region);
    assert_string_equal(mtree.sections[1].names[0], "I/O");
    assert_false(mtree.sections[1].region);
    assert_string_equal(mtree.sections[2].names[0], "pc.ram");
    assert_true(mtree.sections[2].region);
    assert_true(mtree.sections[3].region);
    assert_int_equal(mtree.sections[0].n_nodes, 6);
    assert_int_equal(mtree.nodes[0].parent, SIZE_MAX);
    assert_int_equal(mtree.nodes[5].parent, 0);
    assert_string_equal(mtree.nodes[3].target, "pc.ram");
    assert_int_equal(mtree.nodes[3].type, MTREE_READONLY);
    assert_true(mtree.nodes[4].disabled);
    mtree_free(&mtree);
}

static void addresses_were_of_eight_digits(void **state)
{
    struct source source = data_source("mtree-old/form-32bit.txt");
    struct mtree mtree = read_source(&source);

    (void)state;
    assert_int_equal(mtree.n_nodes, 4);
    assert_int_equal(mtree.nodes[0].last, 0x7ffffffe);
    assert_int_equal(mtree.nodes[0].type, MTREE_READWRITE);
    assert_string_equal(mtree.nodes[3].target, "board.ram");
    assert_int_equal(mtree.nodes[3].target_last, 0x7fffffff);
    mtree_free(&mtree);
}

static void names_may_hold_anything(void **state)
{
    static const char *const names[] = {
        "",
        "two words",
        "a@b",
        "at @ end",
        "(prio 0, ram): x",
        "[disabled]",
        "owner:{",
        "x owner:{y",
        "alias",
        "alias ",
        "alias of",
        "@",
        "}",
        "\xff\xfe",
        "KVM",
        "alias x @y",
        "alias @ -",
        "0000-1111",
        ")",
        "x parent:{",
        "address-space: a",
        "FlatView #0",
        "-",
        "-f",
        "info mtree",
        "(qemu)",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (unsigned form = 0; form < 8; form++) {
            char text[512], name[64];
            bool alias = form & 1, owner = form & 2, disabled = form & 4;
            struct mtree mtree;

            /* Blanks at a line's end are a session's. */
            snprintf(name, sizeof(name), "%s", names[i]);
            if (!alias && !owner && !disabled && *name && name[strlen(name) - 1] == ' ')
                name[strlen(name) - 1] = '\0';
            snprintf(text, sizeof(text),
                     "address-space: s\n  0000000000000000-0000000000000fff (prio -1, nv-ram): %s%s%s%s%s\n\n",
                     alias ? "alias " : "", name, alias ? " @t a.r [g]e} 0000000000000010-000000000000100f" : "",
                     disabled ? " [disabled]" : "", owner ? " owner:{dev id=a b} parent:{obj path=/m/x[0]}" : "");
            mtree = read_text(text);
            assert_int_equal(mtree.n_nodes, 1);
            assert_string_equal(mtree.nodes[0].name, name);
            assert_int_equal(mtree.nodes[0].disabled, disabled);
            assert_true(mtree.nodes[0].nonvolatile);
            assert_int_equal(mtree.nodes[0].priority, -1);
            if (owner)
                assert_string_equal(mtree.nodes[0].owner, "owner:{dev id=a b} parent:{obj path=/m/x[0]}");
            else
                assert_null(mtree.nodes[0].owner);
            if (alias) {
                assert_string_equal(mtree.nodes[0].target, "t a.r [g]e}");
                assert_int_equal(mtree.nodes[0].target_first, 0x10);
                assert_int_equal(mtree.nodes[0].target_last, 0x100f);
            } else {
                assert_null(mtree.nodes[0].target);
            }
            mtree_free(&mtree);
        }
}

static void all_types_are_known(void **state)
{
    static const struct {
        const char *text;
        enum mtree_type type;
        bool nonvolatile;
    } types[] = {
        {", i/o", MTREE_IO, false},       {", ram", MTREE_RAM, false},      {", rom", MTREE_ROM, false},
        {", romd", MTREE_ROMD, false},    {", ramd", MTREE_RAMD, false},    {", RW", MTREE_READWRITE, false},
        {", R-", MTREE_READONLY, false},  {", -W", MTREE_WRITEONLY, false}, {", --", MTREE_NOACCESS, false},
        {", container", MTREE_IO, false}, {", reserved", MTREE_IO, false},  {"", MTREE_READWRITE, false},
        {", nv-i/o", MTREE_IO, true},     {", nv-ram", MTREE_RAM, true},    {", nv-rom", MTREE_ROM, true},
        {", nv-romd", MTREE_ROMD, true},  {", nv-ramd", MTREE_RAMD, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char text[256];
        struct mtree mtree;

        snprintf(text, sizeof(text), "address-space: s\n  0000000000000000-0000000000000fff (prio 2147483647%s): x\n\n",
                 types[i].text);
        mtree = read_text(text);
        assert_int_equal(mtree.nodes[0].type, types[i].type);
        assert_int_equal(mtree.nodes[0].nonvolatile, types[i].nonvolatile);
        assert_int_equal(mtree.nodes[0].priority, INT32_MAX);
        mtree_free(&mtree);
    }
}

/* What a session puts around and into a tree changes nothing. */
static void sessions_do_not_hurt(void **state)
{
    static const char plain[] = "address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
                                "    0000000000000000-0000000000000fff (prio 0, ram): ram\n\n";
    static const char *const sessions[] = {
        "QEMU 7.2.22 monitor - type 'help' for more information\n(qemu) info mtree\n"
        "address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): ram\n\n(qemu) quit\n",
        /* a terminal's line ends, blanks behind lines, and the echo of readline */
        "(qemu) i\x1b[K\x1b[Din\x1b[K\x1b[D\x1b[Dinfo mtree\x1b[K\r\n"
        "address-space: memory\r\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system   \r\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): ram\t\r\n\r\n\x1b[?2004h(qemu) \r\n",
        /* not echoed; the answer is right behind the prompt */
        "(qemu) (qemu) address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): ram\n\n(qemu) ",
        /* indented as a whole */
        "    address-space: memory\n      0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "        0000000000000000-0000000000000fff (prio 0, ram): ram\n\n",
        "\t\taddress-space: memory\n\t\t  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "\t\t    0000000000000000-0000000000000fff (prio 0, ram): ram\n",
        /* other commands before and behind */
        "(gdb) monitor info mtree\naddress-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): ram\n\n(qemu) info mem\n"
        "00000000c0000000-00000000c009b000 000000000009b000 -rw\nabc\n(qemu) info registers\nEAX=00000000\n",
        "some words\n\nmore\nqemu-system-x86_64: warning: host doesn't support it\n"
        "address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): ram\n\n"
        "qemu-system-x86_64: terminating on signal 15 from pid 1\n",
        /* a word that was typed and taken back */
        "address-space: memorx\by\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"
        "    0000000000000000-0000000000000fff (prio 0, ram): \x1b]0;title\aram\x1b[0m\n\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++) {
        struct mtree mtree = read_text(sessions[i]);
        struct grown out = {0};
        struct source wanted = text_source(plain, strlen(plain));

        for (size_t k = 0, more = mtree.nodes[0].indent - 2; k < mtree.n_nodes; k++)
            mtree.nodes[k].indent -= (unsigned)more;
        print_again(&mtree, &out);
        same_text(sessions[i], &wanted, &out);
        source_free(&wanted);
        free(out.text);
        mtree_free(&mtree);
    }
}

#define TREE(name) "address-space: " name "\n  0000000000000000-ffffffffffffffff (prio 0, i/o): root\n\n"
#define REGION(name) "memory-region: " name "\n  0000000000000000-0000000000000fff (prio 0, ram): " name "\n\n"
#define FLAT                                                                                                           \
    "FlatView #0\n AS \"f\", root: r\n Root memory region: r\n  0000000000000000-0000000000000fff (prio 0, ram): "     \
    "x\n\n"

/* Flat dumps are skipped; of several trees the last is taken, and all of it. */
static void the_last_tree_counts(void **state)
{
    static const struct {
        const char *text;
        const char *names; /* of all sections */
    } texts[] = {
        {TREE("a") TREE("b") REGION("r"), "a b r "},
        {FLAT TREE("a"), "a "},
        {TREE("a") FLAT, "a "},
        {TREE("a") FLAT TREE("b"), "b "},
        {FLAT TREE("a") FLAT TREE("b") TREE("c") FLAT, "b c "},
        {TREE("a") REGION("r") TREE("b") REGION("s"), "b s "},
        {"(qemu) info mtree\n" TREE("a") "(qemu) info mtree\n" TREE("b") TREE("c"), "b c "},
        {"(qemu) info mtree\n" TREE("a") "(qemu) info mtree -f\n" FLAT "(qemu) info mtree\n(qemu) quit\n", "a "},
        {"memory\n0000000000000000-0000000000000fff (prio 0, RW): m\naliases\nr\n"
         "0000000000000000-0000000000000fff (prio 0, RW): r\n(qemu) info mtree\n"
         "other\n0000000000000000-0000000000000fff (prio 0, RW): m\n",
         "other "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mtree mtree = read_text(texts[i].text);
        struct grown names = {0};

        for (size_t k = 0; k < mtree.n_sections; k++) {
            grow(&names, "%s ", mtree.sections[k].names[0]);
            assert_int_equal(mtree.sections[k].first_node, k);
        }
        assert_string_equal(names.text, texts[i].names);
        assert_int_equal(mtree.n_nodes, mtree.n_sections);
        free(names.text);
        mtree_free(&mtree);
    }
}

#define HEAD "address-space: memory\n  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n"

static void nonsense_is_refused_with_its_line(void **state)
{
    static const struct bad_text bad[] = {
        {"", "dump.txt: no tree in it"},
        {"hello\n", "dump.txt: no tree in it"},
        {FLAT, "dump.txt: no tree in it"},
        {HEAD "    0000000000000000-00000000000000000 (prio 0, ram): x\n", "dump.txt:3: an address past 2^64"},
        {HEAD "    10000000000000000-1ffffffffffffffff (prio 0, ram): x\n", "dump.txt:3: an address past 2^64"},
        {HEAD "    0000000000001000-0000000000000fff (prio 0, ram): x\n", "dump.txt:3: it ends before it begins"},
        {HEAD "    0000000000000000-0000000000000fff (prio 2147483648, ram): x\n",
         "dump.txt:3: a priority is a number of 32 bits"},
        {HEAD "    0000000000000000-0000000000000fff (prio -2147483649, ram): x\n", "dump.txt:3: a priority is"},
        {HEAD "    0000000000000000-0000000000000fff (prio 99999999999999999999, ram): x\n",
         "dump.txt:3: a priority is"},
        {HEAD "    0000000000000000-0000000000000fff (prio , ram): x\n", "dump.txt:3: \"(prio \" is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio -, ram): x\n", "dump.txt:3: \"(prio \" is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0; ram): x\n", "dump.txt:3: the priority is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, rum): x\n", "dump.txt:3: a type that is not known"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, ramx): x\n", "dump.txt:3: the type is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, ram) x\n", "dump.txt:3: \"(prio N, TYPE)\" is followed"},
        {HEAD "    0000000000000000 (prio 0, ram): x\n", "dump.txt:3: two addresses stand together"},
        {HEAD "    0000000000000000-fff (prio 0, ram): x\n", "dump.txt:3: an address has 16"},
        {HEAD "    0000-0fff (prio 0, ram): x\n", "dump.txt:3: an address has 8 to 16"},
        {HEAD "    0000000000000000-0000000000000fff ram x\n", "dump.txt:3: addresses are followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, i/o): alias a @b 0000000000001000-0000000000000000\n",
         "dump.txt:3: it ends before it begins"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, i/o): alias a @b 00000000000001000-00000000000001fff\n",
         "dump.txt:3: an address past 2^64"},
        {HEAD "\nhello\n", "dump.txt:4: not a line of `info mtree`"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, RW):\n    broken.ram\n", "dump.txt:4: not a line"},
        {"    0000000000000000-0000000000000fff (prio 0, ram): x\n", "dump.txt:1: a region in no address space"},
        {HEAD "\n(qemu) info mtree\n  0000000000000000-0000000000000fff (prio 0, ram): x\n",
         "dump.txt:5: a region in no address space"},
        {"memory\n0000000000000000-0000000000000fff (prio 0, RW): x\nnothing\nI/O\n",
         "dump.txt:3: a heading, but no region"},
        {"memory\n0000000000000000-0000000000000fff (prio 0, RW): x\nI/O\n", "dump.txt:3: a heading, but no region"},
        {"memory\n0000000000000000-0000000000000fff (prio 0, RW): x\nI/O\n  0000000000000000-0000000000000fff (prio 0, "
         "RW): x\n",
         "dump.txt:3: a heading, but no region"},
        {"memory\n  0000000000000000-0000000000000fff (prio 0, RW): x\n", "dump.txt:2: a region in no address space"},
        {HEAD "\naddress-space: I/O\n\n" HEAD "\naddress-space: I/O\n", "dump.txt:9: a second machine's tree"},
        {"\x1f\x8b\x08", "dump.txt:1: this is compressed"},
        /* cut */
        {"address-space: memory", "dump.txt:1: the text ends behind this heading"},
        {HEAD "\naddress-space: I/O\n", "dump.txt:4: the text ends behind this heading"},
        {HEAD "    00000000", "dump.txt:3: two addresses stand together as FIRST-LAST: 00000000 (the text ends here"},
        {HEAD "    000", "dump.txt:3: an address has 8 to 16"},
        {HEAD "    0000000000000000-000000000000", "dump.txt:3: an address has 16"},
        {HEAD "    0000000000000000-0000000000000fff", "dump.txt:3: addresses are followed by"},
        {HEAD "    0000000000000000-0000000000000fff (pri", "dump.txt:3: addresses are followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0", "dump.txt:3: the priority is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, ra", "dump.txt:3: a type that is not known"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, ram", "dump.txt:3: the type is followed by"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, i/o): alias a @pc.r", "dump.txt:3: an alias ends in"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, i/o): alias a @pc.ram 0000000000",
         "dump.txt:3: an alias ends in"},
        {HEAD "    0000000000000000-0000000000000fff (prio 0, i/o): alias a @pc.ram 0000000000000000-00000000000",
         "dump.txt:3: an address has 16"},
        {"address-space: a\n  0000000000000000-0000000000000fff (prio 0, ram): x owner:{dev id=a}\n"
         "    0000000000000000-0000000000000fff (prio 0, ram): y owner:{dev i",
         "dump.txt:3: every line before it names an owner"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct source source = text_source(bad[i].text, strlen(bad[i].text));
        struct mtree mtree;
        struct problem problem;

        if (mtree_parse(&source, &mtree, &problem))
            fail_msg("taken, but it should be refused (%s): %s", bad[i].says, bad[i].text);
        if (strncmp(problem.text, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("refused as \"%s\", not as \"%s\"", problem.text, bad[i].says);
        source_free(&source);
    }
}

static void a_nul_is_refused_with_its_line(void **state)
{
    static const char text[] = HEAD "    0000000000000000-0000000000000fff (prio 0, ram): x\0y\n\n";
    struct source source = text_source(text, sizeof(text) - 1);
    struct mtree mtree;
    struct problem problem;

    (void)state;
    assert_false(mtree_parse(&source, &mtree, &problem));
    assert_non_null(strstr(problem.text, "dump.txt:3: a NUL byte"));
    source_free(&source);
}

/* A recorded dump cut at every byte is read or refused, and what is read is no more than is there. */
static void cut_anywhere(void **state)
{
    struct source source = data_source("qemu/x86_64-base-pc-kvm-1G-std-bios/full.txt");
    size_t refused = 0, lines = 0, size = source.size < 6000 ? source.size : 6000;

    (void)state;
    for (size_t n = 0; n <= size; n++) {
        struct source cut = text_source(source.text, n);
        struct mtree mtree;
        struct problem problem;

        if (n && source.text[n - 1] == '\n')
            lines++;
        if (mtree_parse(&cut, &mtree, &problem)) {
            assert_true(mtree.n_nodes <= lines + 1);
            /* With an owner on each line only a line's end, or what ends like one, can pass. */
            assert_true(source.text[n - 1] == '\n' || source.text[n - 1] == '}' || source.text[n - 1] == ' ' ||
                        source.text[n] == '\n' || !mtree.shows_owner);
            mtree_free(&mtree);
        } else {
            refused++;
        }
        source_free(&cut);
    }
    assert_true(refused > size * 9 / 10);
    source_free(&source);
}

/* Reading takes time linear in the lines, however deep or wide: none of these ends in reasonable time otherwise. */
static void large_trees_are_read(void **state)
{
    enum { WIDE = 1000000, DEEP = 4000 };
    struct grown text = {0};
    struct source source;
    struct mtree mtree;

    (void)state;
    grow(&text, "address-space: s\n");
    /* Two levels in turn, and siblings below a long chain. */
    for (unsigned i = 0; i < DEEP; i++)
        grow(&text, "%*s0000000000000000-0000000000000fff (prio 0, i/o): d\n", (int)(2 + 2 * i), "");
    for (unsigned i = 0; i < WIDE; i++)
        grow(&text, "    %s0000000000000000-0000000000000fff (prio 0, i/o): w\n", i & 1 ? "  " : "");
    source = (struct source){.name = alloc_text("large"), .text = text.text, .size = text.size};
    mtree = read_source(&source);
    assert_int_equal(mtree.n_nodes, WIDE + DEEP);
    for (size_t i = 1; i < DEEP; i++)
        assert_int_equal(mtree.nodes[i].parent, i - 1);
    for (size_t i = DEEP; i < WIDE; i++)
        assert_int_equal(mtree.nodes[i].parent, (i - DEEP) & 1 ? i - 1 : 0);
    mtree_free(&mtree);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_trees_read_and_print_again),
        cmocka_unit_test(old_trees_read_and_print_again),
        cmocka_unit_test(parents_are_by_indentation),
        cmocka_unit_test(spaces_on_one_root_are_headed_together),
        cmocka_unit_test(bare_names_were_headings),
        cmocka_unit_test(addresses_were_of_eight_digits),
        cmocka_unit_test(names_may_hold_anything),
        cmocka_unit_test(all_types_are_known),
        cmocka_unit_test(sessions_do_not_hurt),
        cmocka_unit_test(the_last_tree_counts),
        cmocka_unit_test(nonsense_is_refused_with_its_line),
        cmocka_unit_test(a_nul_is_refused_with_its_line),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(large_trees_are_read),
    };

    for (int i = 1; i < argc; i++) {
        struct source source = file_source(argv[i]);

        same_again(argv[i], &source);
    }
    return argc > 1 ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
