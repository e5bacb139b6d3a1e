/* SPDX-License-Identifier: MIT */
/*
 * What a line from a QMP server says. Owns nothing. One thread.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "qmp.h"

static bool no_qmp(const char *address, const char *line, size_t length, struct problem *problem)
{
    if (memmem(line, length, "(qemu)", 6) || memmem(line, length, "QEMU", 4))
        return problem_at(problem, address, 0,
                          "this is a monitor for people: give the socket of QEMU's -qmp, not that of -monitor");
    return problem_at(problem, address, 0, "what listens there does not speak QMP: it says \"%.*s\"",
                      length > 60 ? 60 : (int)length, line);
}

static bool unknown(const char *address, struct problem *problem)
{
    return problem_at(problem, address, 0, "what listens there does not speak QMP: JSON, but no message of it");
}

static bool understand(const char *address, const json_t *json, struct qmp_message *message, struct problem *problem)
{
    const json_t *value;
    const char *text;

    if (json_object_get(json, "QMP")) {
        message->kind = QMP_GREETING;
        return true;
    }
    if (json_object_get(json, "event")) {
        message->kind = QMP_EVENT;
        return true;
    }
    value = json_object_get(json, "return");
    if (value) {
        message->kind = QMP_RETURN;
        text = json_string_value(value);
        message->text = text ? alloc_text(text) : NULL;
        return true;
    }
    value = json_object_get(json, "error");
    if (!value)
        return unknown(address, problem);
    text = json_string_value(json_object_get(value, "desc"));
    message->kind = QMP_ERROR;
    message->text = alloc_text(text ? text : "it does not say why");
    return true;
}

bool qmp_message_parse(const char *address, const char *line, size_t length, struct qmp_message *message,
                       struct problem *problem)
{
    json_error_t error;
    json_t *json = json_loadb(line, length, 0, &error);
    bool good;

    *message = (struct qmp_message){.text = NULL};
    if (!json)
        return no_qmp(address, line, length, problem);
    good = understand(address, json, message, problem);
    json_decref(json);
    return good;
}
