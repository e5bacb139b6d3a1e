/* SPDX-License-Identifier: MIT */
/*
 * Owns the socket and the bytes that came. One thread. The socket does not block: all waiting is in await(), until the deadline.
 */
#include "qmp_line.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"

#define PIECE ((size_t)65536)
#define FULL_MS 20     /* between attempts while others wait to be let in, and there is no room for one more */
#define PARTIAL_MS 200 /* how long nothing more comes of a line that stays without its end */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void qmp_line_within(struct qmp_line *line, int timeout_ms)
{
    line->deadline = now_ms() + timeout_ms;
    line->received = 0;
}

/* 1: there is something; 0: not until then; -1: errno says why. */
static int await(const struct qmp_line *line, short events, int64_t until)
{
    for (;;) {
        struct pollfd fd = {.fd = line->fd, .events = events};
        int64_t left = until - now_ms();
        int ready = poll(&fd, 1, left > 0 ? (int)left : 0);

        if (ready >= 0 || errno != EINTR)
            return ready;
    }
}

static bool too_late(const struct qmp_line *line, struct problem *problem)
{
    return problem_at(problem, line->address, 0,
                      "no answer in time; QMP serves one client at a time: is another one connected, or QEMU stopped?");
}

static bool failed(const struct qmp_line *line, const char *what, int reason, struct problem *problem)
{
    return problem_at(problem, line->address, 0, "%s: %s", what, strerror(reason));
}

/* --- Connecting -------------------------------------------------------------------------------------------------------- */

static bool refused(const struct qmp_line *line, const char *path, int reason, struct problem *problem)
{
    struct stat info;

    if (path && stat(path, &info) == 0 && !S_ISSOCK(info.st_mode))
        return problem_at(problem, line->address, 0, "it is no socket; to read a file, give it without --qmp");
    switch (reason) {
    case ENOENT:
        return problem_at(problem, line->address, 0,
                          "there is no such socket; QEMU makes it when started with -qmp unix:%s,server=on,wait=off",
                          path);
    case ECONNREFUSED:
        return problem_at(problem, line->address, 0, "nobody listens there: has that QEMU ended?");
    case EACCES:
    case EPERM:
        return problem_at(problem, line->address, 0,
                          "no permission: be the user who started QEMU, or let that one's group write to the socket");
    case EAGAIN:
        return problem_at(problem, line->address, 0,
                          "nobody takes the connection; QMP serves one client at a time: is another one connected?");
    default:
        return failed(line, "it can't be connected to", reason, problem);
    }
}

/* 0, or why not. */
static int connect_to(struct qmp_line *line, int family, const struct sockaddr *where, socklen_t length)
{
    socklen_t size = sizeof(int);
    int reason = 0;

    line->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (line->fd < 0)
        return errno;
    if (connect(line->fd, where, length) == 0)
        return 0;
    reason = errno;
    if (reason == EINPROGRESS) {
        int ready = await(line, POLLOUT, line->deadline);

        reason = ready == 0 ? ETIMEDOUT : ready < 0 ? errno : 0;
        if (!reason && getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &reason, &size) < 0)
            reason = errno;
    }
    if (reason) {
        close(line->fd);
        line->fd = -1;
    }
    return reason;
}

static bool connect_unix(struct qmp_line *line, const char *path, struct problem *problem)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int reason;

    if (!*path || strlen(path) >= sizeof(where.sun_path))
        return problem_at(problem, line->address, 0,
                          "a socket's path has 1 to %zu bytes: go to its folder, and give a short one",
                          sizeof(where.sun_path) - 1);
    memcpy(where.sun_path, path, strlen(path) + 1);
    do
        reason = connect_to(line, AF_UNIX, (const struct sockaddr *)&where, sizeof(where));
    while (reason == EAGAIN && now_ms() < line->deadline && poll(NULL, 0, FULL_MS) == 0);
    return !reason || refused(line, path, reason, problem);
}

static bool connect_tcp(struct qmp_line *line, const char *host, const char *port, struct problem *problem)
{
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int reason = getaddrinfo(*host ? host : NULL, port, &wanted, &found);

    if (reason)
        return problem_at(problem, line->address, 0, "the host's address can't be found: %s", gai_strerror(reason));
    reason = EADDRNOTAVAIL;
    for (const struct addrinfo *at = found; at && reason; at = at->ai_next)
        reason = connect_to(line, at->ai_family, at->ai_addr, at->ai_addrlen);
    freeaddrinfo(found);
    return !reason || refused(line, NULL, reason, problem);
}

/* "HOST:PORT" or "[HOST]:PORT", where PORT is a number. The parts, to be freed. */
static bool split(const char *address, char **ret_host, char **ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t length;

    if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")] || strchr(address, '/'))
        return false;
    length = (size_t)(colon - address);
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    *ret_host = alloc_bytes(address, length);
    *ret_port = alloc_text(colon + 1);
    return true;
}

bool qmp_line_connect(const char *address, int timeout_ms, struct qmp_line *line, struct problem *problem)
{
    char *where, *host, *port;
    struct stat info;
    bool tcp = strncmp(address, "tcp:", 4) == 0, local = strncmp(address, "unix:", 5) == 0;
    bool good;

    *line = (struct qmp_line){.address = address, .fd = -1};
    qmp_line_within(line, timeout_ms);
    /* A file of that name is meant, whatever it looks like. */
    if (stat(address, &info) == 0)
        tcp = local = false;
    where = alloc_text(address + (tcp ? 4 : local ? 5 : 0));
    if (tcp || local) /* as QEMU is given it: ",server=on,wait=off" is for QEMU */
        where[strcspn(where, ",")] = '\0';
    if (local || stat(address, &info) == 0 || !split(where, &host, &port)) {
        good = tcp ? problem_at(problem, address, 0, "a TCP address is HOST:PORT, where PORT is a number")
                   : connect_unix(line, where, problem);
    } else {
        good = connect_tcp(line, host, port, problem);
        free(host);
        free(port);
    }
    free(where);
    return good;
}

void qmp_line_close(struct qmp_line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    free(line->bytes);
    *line = (struct qmp_line){.fd = -1};
}

/* --- Lines ------------------------------------------------------------------------------------------------------------- */

bool qmp_line_send(struct qmp_line *line, const char *text, struct problem *problem)
{
    size_t length = strlen(text);

    while (length) {
        ssize_t n = send(line->fd, text, length, MSG_NOSIGNAL);

        if (n >= 0) {
            text += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN) {
            int ready = await(line, POLLOUT, line->deadline);

            if (ready <= 0)
                return ready ? failed(line, "waiting", errno, problem) : too_late(line, problem);
        } else if (errno != EINTR) {
            return failed(line, "the other side does not listen", errno, problem);
        }
    }
    return true;
}

static void make_room(struct qmp_line *line)
{
    if (line->begin) {
        memmove(line->bytes, line->bytes + line->begin, line->end - line->begin);
        line->end -= line->begin;
        line->begin = 0;
    }
    if (line->room - line->end < PIECE) {
        size_t room = line->room ? 2 * line->room : 2 * PIECE;
        char *bytes = alloc_zeroed(room, 1);

        if (line->end)
            memcpy(bytes, line->bytes, line->end);
        free(line->bytes);
        line->bytes = bytes;
        line->room = room;
    }
}

/* Bytes that came, at least one. False: they did not. */
static bool receive(struct qmp_line *line, struct problem *problem)
{
    ssize_t n;

    make_room(line);
    do
        n = recv(line->fd, line->bytes + line->end, PIECE, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return true;
    if (n < 0)
        return failed(line, "reading", errno, problem);
    if (n == 0)
        return problem_at(problem, line->address, 0, "the other side ended the connection in the middle of it");
    line->end += (size_t)n;
    line->received += (size_t)n;
    return line->received <= QMP_LINE_MAX ||
           problem_at(problem, line->address, 0, "it sends more than %zu MiB without an answer among it",
                      QMP_LINE_MAX >> 20);
}

static bool take(struct qmp_line *line, size_t length, size_t skip, const char **ret, size_t *ret_length)
{
    *ret = line->bytes + line->begin;
    *ret_length = length;
    line->begin += length + skip;
    line->seen = 0;
    return true;
}

/* A server that was asked to be pretty (-qmp-pretty) spreads an object over lines, its first and last brace alone on theirs. */
static bool whole(const char *bytes, size_t length)
{
    if (length && bytes[length - 1] == '\r')
        length--;
    if (!length || bytes[0] != '{' || (length > 1 && bytes[1] != '\n' && bytes[1] != '\r'))
        return true;
    return length > 2 && bytes[length - 1] == '}' && bytes[length - 2] == '\n';
}

bool qmp_line_receive(struct qmp_line *line, bool partial, const char **ret, size_t *ret_length,
                      struct problem *problem)
{
    for (;;) {
        size_t length = line->end - line->begin;
        const char *end =
            length > line->seen ? memchr(line->bytes + line->begin + line->seen, '\n', length - line->seen) : NULL;
        int64_t until = line->deadline;
        int ready;

        if (end) {
            length = (size_t)(end - line->bytes) - line->begin;
            if (whole(line->bytes + line->begin, length))
                return take(line, length, 1, ret, ret_length);
            line->seen = length + 1;
            continue;
        }
        line->seen = length;
        if (partial && length && line->bytes[line->begin] != '{' && now_ms() + PARTIAL_MS < until)
            until = now_ms() + PARTIAL_MS;
        ready = await(line, POLLIN, until);
        if (ready < 0)
            return failed(line, "waiting", errno, problem);
        if (ready == 0 && until < line->deadline)
            return take(line, length, 0, ret, ret_length);
        if (ready == 0 || now_ms() >= line->deadline)
            return too_late(line, problem);
        if (!receive(line, problem))
            return false;
    }
}
