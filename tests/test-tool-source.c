/* SPDX-License-Identifier: MIT */
/*
 * test-tool-source.c - what the gmem command is given: files, pipes, and what is none; lines; what a text is.
 */
#include "tool-text.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own, and the path of a file in it. */
static char folder[] = "/tmp/gmem-source-XXXXXX";

static char *path_of(const char *name)
{
    return alloc_format("%s/%s", folder, name);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static char *make_file(const char *name, const char *bytes, size_t size)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void remove_file(char *path)
{
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void is_refused(const char *path, const char *says)
{
    struct source source;
    struct problem problem;

    if (source_read(path, &source, &problem))
        fail_msg("%s is read, but it should be refused: %s", path, says);
    if (!strstr(problem.text, says) || strncmp(problem.text, path, strlen(path)) != 0)
        fail_msg("refused as \"%s\", not as \"%s\"", problem.text, says);
}

static void files_are_read_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *bytes = alloc_zeroed(sizes[i] + 1, 1), *path;
        struct source source;

        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (char)('a' + k * 7 % 26);
        path = make_file("file", bytes, sizes[i]);
        source = file_source(path);
        assert_int_equal(source.size, sizes[i]);
        assert_memory_equal(source.text, bytes, sizes[i] + 1);
        assert_string_equal(source.name, path);
        source_free(&source);
        remove_file(path);
        free(bytes);
    }
}

static void *write_slowly(void *opaque)
{
    FILE *file = fopen(opaque, "we");

    for (int i = 0; file && i < 3000; i++) {
        fprintf(file, "line %d of a pipe that is longer than one of its buffers\n", i);
        if (i % 1000 == 0)
            fflush(file);
    }
    return file && fclose(file) == 0 ? opaque : NULL;
}

static void pipes_are_read_to_their_end(void **state)
{
    char *path = path_of("pipe");
    struct source source;
    pthread_t writer;
    void *ok;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, path), 0);
    source = file_source(path);
    assert_int_equal(pthread_join(writer, &ok), 0);
    assert_ptr_equal(ok, path);
    assert_true(source.size > 150000);
    assert_non_null(strstr(source.text, "line 2999 of a pipe"));
    source_free(&source);
    remove_file(path);
}

static void what_is_no_text_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } bad[] = {
        {"a\nb\nc\0d\n", 8, ":3: a NUL byte"},
        {"\0", 1, ":1: a NUL byte"},
        {"\xff\xfe"
         "a\0",
         4, ":1: this is UTF-16"},
        {"\xfe\xff\0a", 4, ":1: this is UTF-16"},
        {"\x1f\x8b\x08\0", 4, ":1: this is compressed: give what gunzip"},
        {"\x28\xb5\x2f\xfd", 4, ":1: this is compressed"},
        {"\x7f"
         "ELF\2",
         5, ":1: this is a program"},
    };
    char *large = alloc_zeroed(200000, 1), *path;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        path = make_file("bad", bad[i].bytes, bad[i].size);
        is_refused(path, bad[i].says);
        remove_file(path);
    }
    /* Also far behind the first block. */
    memset(large, '\n', 200000);
    large[150000] = '\0';
    path = make_file("bad", large, 200000);
    is_refused(path, ":150001: a NUL byte");
    remove_file(path);
    free(large);
    is_refused("/dev/zero", ":1: a NUL byte"); /* without an end */
}

static void a_byte_order_mark_is_left_out(void **state)
{
    char *path = make_file("bom",
                           "\xef\xbb\xbf"
                           "address-space: x\n",
                           20);
    struct source source = file_source(path);

    (void)state;
    assert_string_equal(source.text, "address-space: x\n");
    assert_int_equal(source.size, 17);
    assert_int_equal(source_kind(&source), SOURCE_MTREE);
    source_free(&source);
    remove_file(path);
}

static void what_cannot_be_read_is_refused(void **state)
{
    char *path = path_of("no-such-file");

    (void)state;
    is_refused(path, "No such file or directory");
    free(path);
    is_refused(folder, "Is a directory");
    is_refused("", "No such file or directory");
    path = make_file("locked", "x", 1);
    assert_int_equal(chmod(path, 0), 0);
    if (access(path, R_OK) != 0)
        is_refused(path, "Permission denied");
    remove_file(path);
    path = path_of("loop");
    assert_int_equal(symlink(path, path), 0);
    is_refused(path, "Too many levels of symbolic links");
    remove_file(path);
}

/* A hole in a file is NULs; one of lines is not, and is refused by its size alone. */
static void too_large_files_are_refused(void **state)
{
    char *path = path_of("pipe");
    char *block = alloc_zeroed(1, (1 << 20) + 1);
    struct source source;
    struct problem problem;
    int fds[2];

    (void)state;
    /* Through a pipe: no file of that size is made. */
    memset(block, '\n', 1 << 20);
    assert_int_equal(pipe(fds), 0);
    if (fork() == 0) {
        size_t written = 0;

        close(fds[0]);
        while (written <= SOURCE_MAX) {
            ssize_t n = write(fds[1], block, 1 << 20);

            if (n <= 0)
                break;
            written += (size_t)n;
        }
        _exit(0);
    }
    close(fds[1]);
    free(path);
    path = alloc_format("/dev/fd/%d", fds[0]);
    assert_false(source_read(path, &source, &problem));
    assert_non_null(strstr(problem.text, "larger than the 256 MiB"));
    close(fds[0]);
    free(path);
    free(block);
}

static void lines_end_in_either_way(void **state)
{
    static const char text[] = "one\ntwo\r\n\n\r\nlast";
    static const char *const wanted[] = {"one", "two", "", "", "last"};
    struct lines lines;
    const char *line;
    size_t length, n = 0;

    (void)state;
    lines_begin(&lines, text, strlen(text));
    while (lines_next(&lines, &line, &length)) {
        assert_true(n < 5);
        assert_int_equal(length, strlen(wanted[n]));
        assert_memory_equal(line, wanted[n], length);
        assert_int_equal(lines.number, ++n);
    }
    assert_int_equal(n, 5);
    lines_begin(&lines, text, 0);
    assert_false(lines_next(&lines, &line, &length));
}

#define RANGE "0000000000000000-0000000000000fff (prio 0, RW): x\n"
#define SLOT "kvm_set_user_memory Slot#2 flags=0x0 gpa=0xc0000 size=0x0 ua=0x7ff567a00000 ret=0\n"

static void kinds_are_told_by_content(void **state)
{
    static const struct {
        const char *text;
        enum source_kind kind;
    } kinds[] = {
        {"", SOURCE_EMPTY},
        {" \n\t\r\n\n", SOURCE_EMPTY},
        {"hello\n", SOURCE_UNKNOWN},
        {"address-space: memory\n", SOURCE_MTREE},
        {"  address-space: memory\n", SOURCE_MTREE},
        {"memory-region: x\n", SOURCE_MTREE},
        {"memory\n" RANGE, SOURCE_MTREE},
        {"memory is short\n", SOURCE_UNKNOWN},
        {RANGE, SOURCE_MTREE},
        {"(qemu) info mtree\r\naddress-space: a\r\n", SOURCE_MTREE},
        {"\x1b[?2004h(qemu) info mtree\r\naddress-space: a\r\n", SOURCE_MTREE},
        {"(qemu) info mtree -f\nFlatView #0\n", SOURCE_FLAT},
        {"FlatView #0\n  " RANGE, SOURCE_FLAT},
        {"address-space (flat view): memory\n", SOURCE_FLAT},
        {"FlatView #0\n  " RANGE "\naddress-space: a\n", SOURCE_MTREE},
        {"address-space: a\n\nFlatView #0\n", SOURCE_MTREE},
        {"{\"format\": \"gmem-tree\", \"version\": 1}", SOURCE_JSON},
        {"{\n  \"format\" : \"gmem-tree\"}", SOURCE_JSON},
        {"{\"format\": \"gmem-recording\"}\n", SOURCE_RECORDING},
        {"{\"format\": \"other\"}\n", SOURCE_JSON},
        {"\n {\"x\": 1}\n", SOURCE_JSON},
        {SLOT, SOURCE_TRACE},
        {"4711@1669.25:" SLOT, SOURCE_TRACE},
        {"12345678@1669.25:pci_cfg_write i440FX 00:00.0 @0x58 <- 0x33333000\n", SOURCE_TRACE},
        {"some_event 1\n" SLOT, SOURCE_TRACE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct source source = text_source(kinds[i].text, strlen(kinds[i].text));

        if (source_kind(&source) != kinds[i].kind)
            fail_msg("kind %d, not %d: %s", source_kind(&source), kinds[i].kind, kinds[i].text);
        source_free(&source);
    }
}

/* What says nothing of itself within SOURCE_KIND_MAX is not looked through further; a flat dump is. */
static void kinds_are_told_soon(void **state)
{
    struct grown text = {0};
    struct source source;

    (void)state;
    while (text.size <= SOURCE_KIND_MAX)
        grow(&text, "nothing\n");
    grow(&text, "address-space: a\n");
    source = text_source(text.text, text.size);
    assert_int_equal(source_kind(&source), SOURCE_UNKNOWN);
    source_free(&source);
    text.size = 0;
    grow(&text, "FlatView #0\n");
    while (text.size <= SOURCE_KIND_MAX)
        grow(&text, "  " RANGE);
    grow(&text, "address-space: a\n");
    source = text_source(text.text, text.size);
    assert_int_equal(source_kind(&source), SOURCE_MTREE);
    source_free(&source);
    free(text.text);
}

static void refusals_show_the_first_line(void **state)
{
    struct source source = text_source("\n\n  hello \x1b[1mworld\n", 20);
    struct problem problem;

    (void)state;
    assert_false(source_refuse(&source, &problem));
    assert_int_equal(strncmp(problem.text, "dump.txt:3: neither", 19), 0);
    assert_non_null(strstr(problem.text, ": hello world"));
    source_free(&source);
    source = text_source(" \n", 2);
    assert_false(source_refuse(&source, &problem));
    assert_int_equal(strncmp(problem.text, "dump.txt: it is empty", 21), 0);
    source_free(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(pipes_are_read_to_their_end),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(a_byte_order_mark_is_left_out),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(too_large_files_are_refused),
        cmocka_unit_test(lines_end_in_either_way),
        cmocka_unit_test(kinds_are_told_by_content),
        cmocka_unit_test(kinds_are_told_soon),
        cmocka_unit_test(refusals_show_the_first_line),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
