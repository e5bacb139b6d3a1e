/* SPDX-License-Identifier: MIT */
/*
 * gmem tree and gmem flat: what the library prints of a map. Owns nothing. One thread.
 */
#include <stdio.h>

#include "command.h"
#include "options.h"
#include "output.h"

static int put(void *opaque, const char *text, size_t length)
{
    (void)opaque;
    fwrite(text, 1, length, stdout);
    return 0;
}

static int print(int argc, char **argv, bool flat)
{
    struct gmem_print_options how = {.struct_size = sizeof(how), .flags = GMEM_PRINT_DISABLED | GMEM_PRINT_OWNER};
    struct options options;
    struct loaded loaded;
    struct problem problem;
    size_t space;
    int err, status = options_parse(argc, argv, OPT_INPUT | OPT_SPACE | OPT_JSON, 0, NULL, NULL, NULL, &options);

    if (status >= 0)
        return status;
    if (!load(&options.inputs[0], &loaded, &problem))
        return bad_input(&problem);
    if (options.space && !loaded_space(&loaded, options.space, &space, &problem))
        return bad_input(&problem);
    if (options.space)
        how.space = loaded.map.spaces[space];
    if (options.json)
        how.flags |= GMEM_PRINT_JSON;
    err = flat ? gmem_print_flat(loaded.map.vm, &how, put, NULL) : gmem_print_tree(loaded.map.vm, &how, put, NULL);
    loaded_free(&loaded);
    if (err) {
        fprintf(stderr, "gmem: %s\n", gmem_strerror(err));
        return EXIT_ASKED;
    }
    return output_end(0);
}

int cmd_tree(int argc, char **argv)
{
    return print(argc, argv, false);
}

int cmd_flat(int argc, char **argv)
{
    return print(argc, argv, true);
}
