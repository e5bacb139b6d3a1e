/* SPDX-License-Identifier: MIT */
/*
 * Asking a QEMU that a thread plays: its script says what is sent, and what has to come before it goes on. Nothing is
 * measured; where a server is silent, the client's time is made short.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp.h"

#define GREETING                                                                                                       \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": "              \
    "[\"oob\"]}}\r\n"
#define EVENT                                                                                                          \
    "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\r\n"
#define DONE "{\"return\": {}}\r\n"
#define TREE_A "address-space: memory\\r\\n  0-1 (prio 0, i/o): a\\r\\n\\r\\n"
#define TREE_B "address-space: memory\\r\\n  0-1 (prio 0, i/o): b\\r\\n\\r\\n"
#define FLAT_A "FlatView #0\\r\\n AS \\\"memory\\\", root: a\\r\\n"
#define FLAT_B "FlatView #0\\r\\n AS \\\"memory\\\", root: b\\r\\n"
#define ANSWER(text) "{\"return\": \"" text "\"}\r\n"
#define NO_OPTION "{\"return\": \"mtree: unknown option\\r\\nTry \\\"help info\\\" for more information\\r\\n\"}\r\n"

/* One step: wait for a line that has these words (NULL: do not wait), then send this (NULL: nothing). */
struct play {
    const char *expect, *send;
};

#define ENDLESS "endless" /* in place of what is sent: bytes until the other side has enough */
#define SILENT "silent"   /* nothing, until the other side goes */

struct server {
    char folder[32], path[64];
    int fd;
    int port; /* TCP: where it listens; 0: a Unix socket */
    const struct play *plays;
    size_t n;
    pthread_t thread;
    const char *missed; /* what was expected, and did not come */
    size_t fillers;     /* connections that nobody wants */
};

static bool await_line(int fd, const char *words)
{
    char line[4096];
    size_t n = 0;

    while (n < sizeof(line) - 1 && recv(fd, line + n, 1, 0) == 1)
        if (line[n++] == '\n')
            break;
    line[n] = '\0';
    return strstr(line, words) != NULL;
}

static bool send_all(int fd, const char *text)
{
    size_t length = strlen(text);

    while (length) {
        ssize_t n = send(fd, text, length, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        length -= (size_t)n;
    }
    return true;
}

static void *serve(void *opaque)
{
    struct server *server = opaque;
    int fd = accept(server->fd, NULL, NULL);
    char byte;

    for (size_t i = 0; i < server->n && !server->missed; i++) {
        const struct play *play = &server->plays[i];

        if (play->expect && !await_line(fd, play->expect))
            server->missed = play->expect;
        else if (play->send && !strcmp(play->send, SILENT))
            (void)!recv(fd, &byte, 1, 0);
        else if (play->send && !strcmp(play->send, ENDLESS))
            while (send_all(fd, "{\"event\": \"the same again\"}\n{\"event\": \"and again, and again, and again\"}\n"))
                ;
        else if (play->send)
            send_all(fd, play->send);
    }
    close(fd);
    return NULL;
}

static void begin(struct server *server, const struct play *plays, size_t n, bool tcp)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(host);

    *server = (struct server){.plays = plays, .n = n, .folder = "/tmp/gmem-qmp-XXXXXX"};
    assert_non_null(mkdtemp(server->folder));
    snprintf(server->path, sizeof(server->path), "%s/socket", server->folder);
    memcpy(where.sun_path, server->path, sizeof(server->path));
    server->fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    assert_true(server->fd >= 0);
    if (tcp) {
        assert_int_equal(bind(server->fd, (const struct sockaddr *)&host, sizeof(host)), 0);
        assert_int_equal(getsockname(server->fd, (struct sockaddr *)&host, &size), 0);
        server->port = ntohs(host.sin_port);
    } else {
        assert_int_equal(bind(server->fd, (const struct sockaddr *)&where, sizeof(where)), 0);
    }
    assert_int_equal(listen(server->fd, 1), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void end(struct server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    close(server->fd);
    unlink(server->path);
    rmdir(server->folder);
    if (server->missed)
        fail_msg("the client did not send %s", server->missed);
}

#define COUNT(plays) (sizeof(plays) / sizeof((plays)[0]))

/* What is read, at a time to wait that never ends. tree and flat are what is expected. */
static void reads(const struct play *plays, size_t n, const char *tree, const char *flat)
{
    struct source ret_tree, ret_flat;
    struct problem problem;
    struct server server;
    bool good;

    begin(&server, plays, n, false);
    good = qmp_read_within(server.path, 60000, &ret_tree, &ret_flat, &problem);
    end(&server);
    if (!good)
        fail_msg("%s", problem.text);
    assert_string_equal(ret_tree.text, tree);
    assert_int_equal(ret_tree.size, strlen(tree));
    if (flat) {
        assert_string_equal(ret_flat.text, flat);
        assert_int_equal(ret_flat.size, strlen(flat));
        source_free(&ret_flat);
    } else {
        assert_null(ret_flat.text);
    }
    source_free(&ret_tree);
}

static void refuses(const struct play *plays, size_t n, int timeout_ms, const char *words)
{
    struct source tree, flat;
    struct problem problem;
    struct server server;
    bool good;

    begin(&server, plays, n, false);
    good = qmp_read_within(server.path, timeout_ms, &tree, &flat, &problem);
    end(&server);
    assert_false(good);
    if (!strstr(problem.text, words) || strncmp(problem.text, server.path, strlen(server.path)) != 0)
        fail_msg("%s: expected %s", problem.text, words);
}

#define TEXT_A "address-space: memory\n  0-1 (prio 0, i/o): a\n\n"
#define TEXT_B "address-space: memory\n  0-1 (prio 0, i/o): b\n\n"
#define TEXT_FLAT_A "FlatView #0\n AS \"memory\", root: a\n"
#define TEXT_FLAT_B "FlatView #0\n AS \"memory\", root: b\n"

static void test_reads(void **state)
{
    static const struct play plays[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_A)},
    };

    (void)state;
    reads(plays, COUNT(plays), TEXT_A, TEXT_FLAT_A);
}

static void test_tcp(void **state)
{
    static const struct play plays[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_A)},
    };
    static const char *const forms[] = {"127.0.0.1:%d", "tcp:127.0.0.1:%d", "[127.0.0.1]:%d", "localhost:%d"};

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct source tree, flat;
        struct problem problem;
        struct server server;
        char address[64];

        begin(&server, plays, COUNT(plays), true);
        snprintf(address, sizeof(address), forms[i], server.port); /* NOLINT(clang-diagnostic-format-nonliteral) */
        if (!qmp_read_within(address, 60000, &tree, &flat, &problem))
            fail_msg("%s", problem.text);
        end(&server);
        source_free(&tree);
        source_free(&flat);
    }
}

/* In pieces, with events and empty lines in between. */
static void test_events_and_pieces(void **state)
{
    static const struct play plays[] = {
        {NULL, "\r\n" EVENT "{\"QMP\": {\"ver"},
        {NULL, "sion\": 1}}"},
        {NULL, "\n" EVENT EVENT},
        {"qmp_capabilities", EVENT DONE EVENT},
        {"info mtree -o -D", EVENT ANSWER(TREE_A)},
        {"info mtree -f -o", "{\"return\": \"FlatView"},
        {NULL, " #0\\r\\n AS \\\"memory\\\", root: a\\r\\n\"}"},
        {NULL, "\n" EVENT},
        {"info mtree -o -D", ANSWER(TREE_A)},
    };

    (void)state;
    reads(plays, COUNT(plays), TEXT_A, TEXT_FLAT_A);
}

/* As -qmp-pretty spreads it. */
static void test_pretty(void **state)
{
    static const struct play plays[] = {
        {NULL, "{\r\n    \"QMP\": {\r\n        \"version\": {\r\n        }\r\n    }\r\n}\r\n"},
        {"qmp_capabilities", "{\r\n    \"return\": {\r\n    }\r\n}\r\n" EVENT},
        {"info mtree -o -D", "{\n    \"return\": \"" TREE_A "\"\n}\n"},
        {"info mtree -f -o", "{\r\n    \"event\": \"STOP\"\r\n}\r\n{\r\n    \"return\": \"" FLAT_A "\""},
        {NULL, "\r\n}"},
        {NULL, "\r\n"},
        {"info mtree -o -D", ANSWER(TREE_A)},
    };

    (void)state;
    reads(plays, COUNT(plays), TEXT_A, TEXT_FLAT_A);
}

/* Lets those in that fill the queue, and then serves. */
static void *serve_later(void *opaque)
{
    struct server *server = opaque;
    struct pollfd waiting = {.fd = server->fd, .events = POLLIN};

    poll(&waiting, 1, -1);
    poll(NULL, 0, 100); /* so that the client has found the queue full */
    for (size_t i = 0; i < server->fillers; i++)
        close(accept(server->fd, NULL, NULL));
    return serve(server);
}

static void test_queue_full(void **state)
{
    static const struct play plays[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_A)},
    };
    struct server server = {.plays = plays, .n = COUNT(plays), .folder = "/tmp/gmem-qmp-XXXXXX"};
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct source tree, flat;
    struct problem problem;
    int fillers[8];
    bool good;

    (void)state;
    assert_non_null(mkdtemp(server.folder));
    snprintf(server.path, sizeof(server.path), "%s/socket", server.folder);
    memcpy(where.sun_path, server.path, sizeof(server.path));
    server.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server.fd, (const struct sockaddr *)&where, sizeof(where)), 0);
    assert_int_equal(listen(server.fd, 1), 0);
    for (;;) {
        assert_true(server.fillers < COUNT(fillers));
        fillers[server.fillers] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fillers[server.fillers], (const struct sockaddr *)&where, sizeof(where)) < 0)
            break;
        server.fillers++;
    }
    assert_int_equal(errno, EAGAIN);
    assert_false(qmp_read_within(server.path, 50, &tree, &flat, &problem));
    assert_non_null(strstr(problem.text, "one client at a time"));
    assert_int_equal(pthread_create(&server.thread, NULL, serve_later, &server), 0);
    good = qmp_read_within(server.path, 60000, &tree, &flat, &problem);
    end(&server);
    for (size_t i = 0; i <= server.fillers; i++)
        close(fillers[i]);
    if (!good)
        fail_msg("%s", problem.text);
    source_free(&tree);
    source_free(&flat);
}

/* The map changes once while it is read, and then always. */
static void test_changing(void **state)
{
    static const struct play once[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_B)},
        {"info mtree -f -o", ANSWER(FLAT_B)},
        {"info mtree -o -D", ANSWER(TREE_B)},
    };
    static const struct play always[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_B)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_B)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"info mtree -o -D", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_B)},
    };

    (void)state;
    reads(once, COUNT(once), TEXT_B, TEXT_FLAT_B);
    reads(always, COUNT(always), TEXT_A, TEXT_FLAT_B);
}

/* Options that an older QEMU does not have are left out. */
static void test_old(void **state)
{
    static const struct play no_disabled[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", NO_OPTION},
        {"\"info mtree -o\"", ANSWER(TREE_A)},
        {"info mtree -f -o", ANSWER(FLAT_A)},
        {"\"info mtree -o\"", ANSWER(TREE_A)},
    };
    static const struct play nothing[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", NO_OPTION},
        {"\"info mtree -o\"", NO_OPTION},
        {"\"info mtree -D\"", NO_OPTION},
        {"\"info mtree\"", ANSWER("memory\\r\\n")},
        {"info mtree -f -o", NO_OPTION},
        {"\"info mtree -f\"", NO_OPTION},
    };
    static const struct play none[] = {
        {NULL, GREETING},
        {"qmp_capabilities", DONE},
        {"info mtree -o -D", NO_OPTION},
        {"\"info mtree -o\"", NO_OPTION},
        {"\"info mtree -D\"", NO_OPTION},
        {"\"info mtree\"", NO_OPTION},
    };

    (void)state;
    reads(no_disabled, COUNT(no_disabled), TEXT_A, TEXT_FLAT_A);
    reads(nothing, COUNT(nothing), "memory\n", NULL);
    refuses(none, COUNT(none), 60000, "does not know: info mtree");
}

#define REFUSES(timeout, words, ...)                                                                                   \
    do {                                                                                                               \
        static const struct play plays[] = {__VA_ARGS__};                                                              \
        refuses(plays, COUNT(plays), timeout, words);                                                                  \
    } while (0)

static void test_no_qmp(void **state)
{
    (void)state;
    REFUSES(60000, "monitor for people", {NULL, "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "},
            {NULL, SILENT});
    REFUSES(60000, "monitor for people", {NULL, "(qemu) "}, {NULL, SILENT});
    REFUSES(60000, "does not speak QMP", {NULL, "SSH-2.0-OpenSSH_9.2p1\r\n"});
    REFUSES(60000, "does not speak QMP", {NULL, "login: "}, {NULL, SILENT});
    REFUSES(60000, "does not speak QMP", {NULL, "\xff\xfe\x01\n"});
    REFUSES(60000, "does not speak QMP", {NULL, "[1, 2]\n"});
    REFUSES(60000, "does not greet", {NULL, DONE});
}

static void test_ended(void **state)
{
    (void)state;
    REFUSES(60000, "ended the connection", {NULL, NULL});
    REFUSES(60000, "ended the connection", {NULL, "{\"QMP\""});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", EVENT});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE},
            {"mtree", "{\"return\": \"addr"});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", ANSWER(TREE_A)},
            {"-f", NULL});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", ANSWER(TREE_A)},
            {"-f", ANSWER(FLAT_A)}, {"mtree", NULL});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", ANSWER(TREE_A)},
            {"-f", ANSWER(FLAT_A)}, {"mtree", ANSWER(TREE_B)}, {"-f", NULL});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", NO_OPTION},
            {"mtree", NULL});
    REFUSES(60000, "ended the connection", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", ANSWER(TREE_A)},
            {"-f", NO_OPTION}, {"-f", NULL});
}

static void test_silent(void **state)
{
    (void)state;
    REFUSES(50, "one client at a time", {NULL, SILENT});
    REFUSES(300, "no answer in time", {NULL, GREETING}, {"qmp_capabilities", SILENT});
    REFUSES(300, "no answer in time", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", EVENT}, {NULL, SILENT});
}

static void test_endless(void **state)
{
    (void)state;
    REFUSES(600000, "64 MiB", {NULL, GREETING}, {"qmp_capabilities", ENDLESS});
}

static void test_errors(void **state)
{
    (void)state;
    REFUSES(60000, "QEMU refuses: not now", {NULL, GREETING},
            {"qmp_capabilities", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n"});
    REFUSES(60000, "QEMU refuses: it does not say why", {NULL, GREETING}, {"qmp_capabilities", "{\"error\": 1}\n"});
    REFUSES(60000, "QEMU refuses: it greets again", {NULL, GREETING}, {"qmp_capabilities", GREETING});
    REFUSES(60000, "no text", {NULL, GREETING}, {"qmp_capabilities", DONE}, {"mtree", DONE});
    REFUSES(60000, "no message", {NULL, GREETING}, {"qmp_capabilities", "{\"other\": 1}\n"});
    REFUSES(60000, "does not speak QMP", {NULL, GREETING}, {"qmp_capabilities", "garbage\n"});
}

static void no_server(const char *address, const char *words)
{
    struct source tree, flat;
    struct problem problem;

    assert_false(qmp_read(address, &tree, &flat, &problem));
    if (!strstr(problem.text, words))
        fail_msg("%s: expected %s", problem.text, words);
}

static void test_addresses(void **state)
{
    char folder[] = "/tmp/gmem-qmp-XXXXXX", path[64], address[80], longest[300];
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_non_null(mkdtemp(folder));
    no_server(folder, "it is no socket");
    snprintf(path, sizeof(path), "%s/socket", folder);
    no_server(path, "-qmp unix:");
    snprintf(address, sizeof(address), "unix:%s", path);
    no_server(address, "-qmp unix:/tmp");
    memcpy(where.sun_path, path, sizeof(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&where, sizeof(where)), 0);
    no_server(path, "nobody listens"); /* it is bound only */
    close(fd);
    no_server(path, "nobody listens");
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        no_server(path, "no permission");
    }
    unlink(path);
    rmdir(folder);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    no_server(longest, "give a short one");
    no_server("", "1 to");
    no_server("127.0.0.1:1", "nobody listens");
    no_server("tcp:nonsense", "HOST:PORT");
}

static void test_messages(void **state)
{
    static const struct {
        const char *line, *text;
        enum qmp_kind kind;
    } good[] = {
        {"{\"QMP\": {}}", NULL, QMP_GREETING},
        {"{\"event\": \"STOP\"}", NULL, QMP_EVENT},
        {"{\"return\": \"x\"}\r", "x", QMP_RETURN},
        {"{\"return\": {}, \"id\": 4}", NULL, QMP_RETURN},
        {"{\"error\": {\"desc\": \"no\"}}", "no", QMP_ERROR},
    };
    struct qmp_message message;
    struct problem problem;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(qmp_message_parse("a", good[i].line, strlen(good[i].line), &message, &problem));
        assert_int_equal(message.kind, good[i].kind);
        if (good[i].text)
            assert_string_equal(message.text, good[i].text);
        else
            assert_null(message.text);
        free(message.text);
    }
    assert_false(qmp_message_parse("a", "", 0, &message, &problem));
    assert_false(qmp_message_parse("a", "{}", 2, &message, &problem));
    assert_false(qmp_message_parse("a", "\"QMP\"", 5, &message, &problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pretty),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_events_and_pieces),
        cmocka_unit_test(test_changing),
        cmocka_unit_test(test_old),
        cmocka_unit_test(test_no_qmp),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_endless),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
