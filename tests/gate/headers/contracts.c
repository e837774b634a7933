/* SPDX-License-Identifier: MIT */
/*
 * What the macros of the installed headers promise beyond their values. Compiled as C and as C++,
 * with nopoll_log() off, on (SHOW_DEBUG_LOG) and as printf (SHOW_FORMAT_BUGS), and run. The few
 * library functions that macros call are replaced here, so nothing is linked.
 */
#include <nopoll.h>

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            ++faults;                                                                              \
        }                                                                                          \
    } while (0)

static int faults;
static int records;
static int lines_logged;
static noPollDebugLevel level_logged;
static char record[1024];
static char function_logged[256];

BEGIN_C_DECLS

void __nopoll_log(noPollCtx* ctx, const char* function_name, const char* file, int line,
                  noPollDebugLevel level, const char* message, ...) {
    va_list args;
    (void)ctx;
    va_start(args, message);
    vsnprintf(record, sizeof(record), message, args);
    va_end(args);
    snprintf(function_logged, sizeof(function_logged), "%s", function_name);
    level_logged = level;
    lines_logged = strcmp(file, __FILE__) == 0 ? line : -1;
    ++records;
}

noPollPtr nopoll_calloc(size_t count, size_t size) {
    return calloc(count, size);
}

END_C_DECLS

/* Constants in the places where only constant expressions are allowed. */
#if !nopoll_true || nopoll_false || NOPOLL_MAX_FRAME_SIZE_LIMIT < NOPOLL_MAX_FRAME_SIZE_DEFAULT
#error "not usable in #if"
#endif
#if defined(__GLIBC__) && FD_SETSIZE != 1024
#error "FD_SETSIZE is not that of libc"
#endif

static int errno_label(int error) {
    switch (error) {
    case NOPOLL_EINTR: return 1;
    case NOPOLL_EWOULDBLOCK: return 2;
    case NOPOLL_EINPROGRESS: return 3;
    case NOPOLL_ENOTCONN: return 4;
    default: break;
    }
    switch (error) {
    case NOPOLL_EAGAIN: return 5;
    case NOPOLL_SOCKET_ERROR: return 6;
    default: return 0;
    }
}

static int opcode_label(noPollOpCode opcode) {
    switch (opcode) {
    case NOPOLL_CONTINUATION_FRAME: return 0;
    case NOPOLL_TEXT_FRAME: return 1;
    case NOPOLL_BINARY_FRAME: return 2;
    case NOPOLL_CLOSE_FRAME:
    case NOPOLL_PING_FRAME:
    case NOPOLL_PONG_FRAME: return 3;
    case NOPOLL_UNKNOWN_OP_CODE: break;
    }
    return -1;
}

static noPollSslProtocol best_protocol(void) {
#if defined(NOPOLL_HAVE_SSLv3_ENABLED)
    return NOPOLL_METHOD_SSLV3;
#elif defined(NOPOLL_HAVE_TLSv12_ENABLED)
    return NOPOLL_METHOD_TLSV1_2;
#else
    return NOPOLL_METHOD_TLS_FLEXIBLE;
#endif
}

static void check_constants(void) {
    char as_array_size[nopoll_true];
    unsigned NOPOLL_SOCKET number = 7U;
    const int numbers[3] = {10, 20, 30};
    EXPECT(sizeof(as_array_size) == 1 && sizeof(number) == sizeof(int));
    EXPECT(errno_label(EINTR) == 1 && errno_label(EWOULDBLOCK) == 2 && errno_label(-1) == 6);
    EXPECT(opcode_label(NOPOLL_PONG_FRAME) == 3 && best_protocol() == NOPOLL_METHOD_TLSV1_2);
    EXPECT(NOPOLL_INVALID_SOCKET == -1 && NOPOLL_SOCKET_ERROR == -1);
    /* Without parentheses this would be the negated third element. */
    EXPECT(NOPOLL_INVALID_SOCKET[numbers + 1] == 10 && NOPOLL_SOCKET_ERROR[numbers + 1] == 10);
    EXPECT(sizeof(nopoll_true) == sizeof(int) && sizeof(nopoll_bool) == sizeof(int));
}

/* With and without a semicolon behind the macro, and with an else that belongs to it. */
static int passed;

static void with_semicolon(int value) {
    nopoll_return_if_fail(NULL, value == 1);
    ++passed;
}

/* clang-format off */
static void without_semicolon(int value) {
    nopoll_return_if_fail(NULL, value == 1)
    ++passed;
}

static void with_else(int value) {
    nopoll_return_if_fail(NULL, value == 1)
    else
        ++passed;
}

static int with_value(int value) {
    nopoll_return_val_if_fail(NULL, value % 2 == 0, -7)
    return value;
}
/* clang-format on */

static noPollPtr with_pointer(const char* text) {
    nopoll_return_val_if_fail(NULL, text != NULL && text[0] != 0, NULL);
    return INT_TO_PTR(1);
}

static void check_return_macros(void) {
    with_semicolon(1);
    without_semicolon(1);
    with_else(1);
    EXPECT(passed == 3 && with_value(4) == 4 && PTR_TO_INT(with_pointer("x")) == 1);
    EXPECT(records == 0);

    with_semicolon(2);
    EXPECT(records == 1 && strstr(record, "value == 1") != NULL);
    EXPECT(strstr(function_logged, "with_semicolon") != NULL && lines_logged > 0);
    EXPECT(level_logged == NOPOLL_LEVEL_CRITICAL);
    without_semicolon(2);
    with_else(2);
    EXPECT(records == 3 && passed == 3);
    EXPECT(with_value(3) == -7 && with_pointer("") == NULL && records == 5);
    with_value(5);
    EXPECT(strstr(record, "value % 2 == 0") != NULL && strstr(record, "-7") != NULL);
    EXPECT(strstr(record, "with_value") != NULL && strstr(record, __FILE__) != NULL);
}

static void check_log(void) {
    int evaluated = 0;
    records = 0;
    nopoll_log(NULL, NOPOLL_LEVEL_WARNING, "nothing behind the format\n");
    nopoll_log(NULL, NOPOLL_LEVEL_DEBUG, "%d %s\n", ++evaluated, "things");
#if defined(SHOW_FORMAT_BUGS)
    EXPECT(evaluated == 1 && records == 0);
#elif defined(SHOW_DEBUG_LOG)
    EXPECT(evaluated == 1 && records == 2 && strcmp(record, "1 things\n") == 0);
    EXPECT(strstr(function_logged, "check_log") != NULL && level_logged == NOPOLL_LEVEL_DEBUG);
#else
    EXPECT(evaluated == 0 && records == 0);
#endif
    __nopoll_log(NULL, __function_name__, __file__, __line__, NOPOLL_LEVEL_DEBUG, "%s",
                 __NOPOLL_PRETTY_FUNCTION__);
    EXPECT(strstr(record, "check_log") != NULL && lines_logged == __NOPOLL_LINE__ - 2);
    EXPECT(strcmp(__NOPOLL_FILE__, __FILE__) == 0);
}

static int is_closed(int fd) {
    return fcntl(fd, F_GETFD) == -1 && errno == EBADF;
}

static void check_sockets(void) {
    int ends[2];
    int next = 0;
    EXPECT(pipe(ends) == 0);
    if (ends[0] >= 0)
        nopoll_close_socket(ends[next++]);
    else
        nopoll_close_socket(ends[1]);
    EXPECT(next == 1 && is_closed(ends[0]) && !is_closed(ends[1]));
    nopoll_close_socket(ends[1]);
    EXPECT(is_closed(ends[1]) && ends[1] >= 0);

    errno = 0;
    nopoll_close_socket(NOPOLL_INVALID_SOCKET);
    EXPECT(errno == 0 && !nopoll_is_disconnected);
    errno = EPIPE;
    EXPECT(nopoll_is_disconnected && 1 == nopoll_is_disconnected);
}

struct pair {
    long first;
    noPollPtr second;
};

static void check_memory(void) {
    const int more = 2;
    struct pair* const pairs = nopoll_new(struct pair, 1 + more);
    EXPECT(pairs != NULL && pairs[2].first == 0 && pairs[2].second == NULL);
    free(pairs);
    EXPECT(sizeof(*nopoll_new(short, 1)) == sizeof(short));
    EXPECT(PTR_TO_INT(INT_TO_PTR(-5)) == -5 && PTR_TO_INT(INT_TO_PTR(1 + 2)) == 3);
    EXPECT(sizeof(INT_TO_PTR(1)) == sizeof(noPollPtr) && sizeof(PTR_TO_INT(NULL)) == sizeof(int));
}

/* Programs use these without including anything else. */
static void check_transitive(void) {
    char* text = NULL;
    struct timeval now;
    struct rlimit limit;
    struct stat status;
    struct addrinfo hints;
    struct in_addr address;
    fd_set set;
    memset(&hints, 0, sizeof(hints));
    FD_ZERO(&set);
    EXPECT(gettimeofday(&now, NULL) == 0 && time(NULL) > 0 && isspace(' '));
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && stat(".", &status) == 0);
    EXPECT(inet_pton(AF_INET, "127.0.0.1", &address) == 1 && address.s_addr == htonl(0x7f000001U));
    EXPECT(asprintf(&text, "%d", AF_UNIX) > 0 && getpid() > 0);
    free(text);
}

int main(void) {
    check_constants();
    check_return_macros();
    check_log();
    check_sockets();
    check_memory();
    check_transitive();
    return faults == 0 ? 0 : 1;
}
