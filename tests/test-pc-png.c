/* SPDX-License-Identifier: MIT */
/* test-pc-png.c - pictures of the screen as files: read back, whole or not at all, and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <png.h>
#include <sys/stat.h>

#include "pc-screen.h"
#include "png_file.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void check_png(const struct shown *shown, const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    struct screen_picture picture = screen_picture(shown->screen);
    uint8_t *bytes;

    assert_int_not_equal(png_image_begin_read_from_file(&image, path), 0);
    assert_int_equal(image.width, picture.width);
    assert_int_equal(image.height, picture.height);
    assert_int_equal(image.format, PNG_FORMAT_RGB);
    bytes = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(bytes);
    assert_int_not_equal(png_image_finish_read(&image, NULL, bytes, 0, NULL), 0);
    for (size_t i = 0; i < (size_t)image.width * image.height; i++)
        assert_int_equal(bytes[3 * i] * 65536u + bytes[3 * i + 1] * 256u + bytes[3 * i + 2], picture.pixels[i]);
    free(bytes);
}

/* The folder holds name and nothing else. */
static void check_alone(const char *name)
{
    char command[256];

    snprintf(command, sizeof(command), "test \"$(ls -A %s)\" = \"%s\"", folder, name);
    assert_int_equal(system(command), 0);
}

static void test_png(void **state)
{
    struct shown *shown = *state;
    struct pc_error error = {""};
    struct stat info;
    mode_t mask = umask(022);

    snprintf(folder, sizeof(folder), "/tmp/test-pc-screen-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(screen_write_png(shown->screen, in_folder("a.png"), &error), -EINVAL);
    check_alone("");
    assert_int_equal(screen_update(shown->screen), 0);
    assert_int_equal(png_file_check(in_folder("a.png"), &error), 0);
    check_alone("");
    assert_int_equal(screen_write_png(shown->screen, in_folder("a.png"), &error), 0);
    check_alone("a.png");
    check_png(shown, in_folder("a.png"));
    assert_int_equal(stat(in_folder("a.png"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    /* In the place of one that is there; of a symbolic link, of what it names. */
    put_char(shown, 0, 0x1234);
    assert_int_equal(screen_update(shown->screen), 0);
    assert_int_equal(screen_write_png(shown->screen, in_folder("a.png"), &error), 0);
    check_png(shown, in_folder("a.png"));
    assert_int_equal(symlink("a.png", in_folder("link")), 0);
    put_char(shown, 0, 0x4321);
    assert_int_equal(screen_update(shown->screen), 0);
    assert_int_equal(screen_write_png(shown->screen, in_folder("link"), &error), 0);
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    check_png(shown, in_folder("a.png"));
    unlink(in_folder("link"));
    check_alone("a.png");
    unlink(in_folder("a.png"));
    assert_int_equal(rmdir(folder), 0);
    umask(mask);
}

/* Nothing is left behind, and what was there is as it was. */
static void test_png_refused(void **state)
{
    struct shown *shown = *state;
    struct pc_error error = {""};
    struct screen_picture picture;

    snprintf(folder, sizeof(folder), "/tmp/test-pc-screen-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(screen_update(shown->screen), 0);
    picture = screen_picture(shown->screen);
    assert_int_equal(screen_write_png(shown->screen, in_folder("no/such"), &error), -ENOENT);
    assert_non_null(strstr(error.text, "no/such"));
    assert_int_equal(png_file_check(in_folder("no/such"), &error), -ENOENT);
    assert_int_equal(screen_write_png(shown->screen, folder, &error), -EISDIR);
    assert_int_equal(png_file_check(folder, &error), -EISDIR);
    assert_int_equal(png_file_check(in_folder("new/"), &error), -ENOENT);
    assert_int_equal(png_file_check("", &error), -ENOENT);
    /* A device is written itself, and is not replaced. */
    assert_int_equal(png_file_check("/dev/full", &error), 0);
    assert_int_equal(screen_write_png(shown->screen, "/dev/full", &error), -ENOSPC);
    assert_non_null(strstr(error.text, "/dev/full"));
    assert_int_equal(screen_write_png(shown->screen, "/dev/null", &error), 0);
    assert_int_equal(access("/dev/null", W_OK), 0);
    /* A picture that is too large for PNG. */
    assert_int_equal(screen_write_png(shown->screen, in_folder("a"), &error), 0);
    assert_int_not_equal(png_file_write(in_folder("a"), picture.pixels, 0, 0, &error), 0);
    check_png(shown, in_folder("a"));
    check_alone("a");
    unlink(in_folder("a"));
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_png, setup_text, teardown),
        cmocka_unit_test_setup_teardown(test_png_refused, setup_text, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
