/* Creates producers with two libraries, round by round, and exchanges the same messages with a
 * service by itself. Each round prints how many nanoseconds each took: the creation with the
 * first library, the creation with the second, the exchange, and the end of the first and the second
 * producer. The last line is what the first library says of its last producer, or {}.
 *
 * Each producer is given so many records before its end; there is no broker that would take them.
 *
 * The bytes of the request are read from stdin. Without a port there is no exchange.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define MAX_MESSAGE (256 * 1024)

struct library {
        rd_kafka_conf_t *(*conf_new)(void);
        rd_kafka_conf_res_t (*conf_set)(rd_kafka_conf_t *, const char *, const char *, char *,
                                        size_t);
        rd_kafka_resp_err_t (*producev)(rd_kafka_t *, ...);
        rd_kafka_t *(*new)(rd_kafka_type_t, rd_kafka_conf_t *, char *, size_t);
        void (*destroy)(rd_kafka_t *);
        char *(*status)(const rd_kafka_t *); /* NULL where there is none. */
};

static int service = -1;
static char request[MAX_MESSAGE], answer[MAX_MESSAGE];
static size_t request_size;

static void fail(const char *what) {
        perror(what);
        exit(1);
}

static int64_t now(void) {
        struct timespec at;

        clock_gettime(CLOCK_MONOTONIC, &at);
        return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void *function(void *handle, const char *name, int needed) {
        void *found = dlsym(handle, name);

        if (!found && needed) {
                fprintf(stderr, "create: %s\n", dlerror());
                exit(1);
        }
        return found;
}

static struct library open_library(const char *path) {
        struct library library;
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

        if (!handle) {
                fprintf(stderr, "create: %s\n", dlerror());
                exit(1);
        }
        *(void **)&library.conf_new = function(handle, "rd_kafka_conf_new", 1);
        *(void **)&library.conf_set = function(handle, "rd_kafka_conf_set", 1);
        *(void **)&library.producev = function(handle, "rd_kafka_producev", 1);
        *(void **)&library.new = function(handle, "rd_kafka_new", 1);
        *(void **)&library.destroy = function(handle, "rd_kafka_destroy", 1);
        *(void **)&library.status = function(handle, "superstream_status", 0);
        return library;
}

/* What a producer took. */
struct took {
        int64_t creation, end;
};

/* One producer with `library`, created and destroyed. With `print` its status is printed
 * meanwhile. */
static struct took create(const struct library *library, int records, int print) {
        rd_kafka_conf_t *conf = library->conf_new();
        struct took took;
        char errstr[512];
        char *status;
        rd_kafka_t *rk;

        library->conf_set(conf, "bootstrap.servers", "127.0.0.1:1", errstr, sizeof(errstr));
        library->conf_set(conf, "log_level", "0", errstr, sizeof(errstr));
        took.creation = now();
        rk = library->new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        took.creation = now() - took.creation;
        if (!rk) {
                fprintf(stderr, "create: %s\n", errstr);
                exit(1);
        }
        if (print) {
                status = library->status ? library->status(rk) : NULL;
                puts(status ? status : "{}");
        }
        while (records-- > 0)
                if (library->producev(rk, RD_KAFKA_V_TOPIC("orders"),
                                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                      RD_KAFKA_V_VALUE("value", 5), RD_KAFKA_V_END)) {
                        fprintf(stderr, "create: a record is refused\n");
                        exit(1);
                }
        took.end = now();
        library->destroy(rk);
        took.end = now() - took.end;
        return took;
}

static void connect_to(int port) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        int on = 1;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        service = socket(AF_INET, SOCK_STREAM, 0);
        if (service < 0 ||
            connect(service, (struct sockaddr *)&address, sizeof(address)) != 0 ||
            setsockopt(service, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
                fail("create: connect");
}

/* The head of the answer ends with an empty line, and its last header is the body's length. */
static int is_complete(size_t size) {
        char *end = memmem(answer, size, "\r\n\r\n", 4);
        char *length;

        if (!end)
                return 0;
        answer[size] = '\0';
        length = strcasestr(answer, "content-length:");
        if (!length || length > end) {
                fprintf(stderr, "create: an answer without a length\n");
                exit(1);
        }
        return size >= (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
}

/* Sends the request and reads the answer; what that took. The first one connects too. */
static int64_t exchange(int port) {
        size_t size = 0, sent = 0;
        ssize_t some;
        int64_t took = now();

        if (service < 0)
                connect_to(port);
        while (sent < request_size) {
                some = write(service, request + sent, request_size - sent);
                if (some <= 0)
                        fail("create: write");
                sent += some;
        }
        while (!is_complete(size)) {
                some = read(service, answer + size, sizeof(answer) - 1 - size);
                if (some <= 0)
                        fail("create: read");
                size += some;
        }
        return now() - took;
}

int main(int argc, char **argv) {
        struct library first, second;
        struct took with, without;
        int rounds, pause_us, records, port, round;
        int64_t bare;

        if (argc != 6 && argc != 7) {
                fprintf(stderr, "usage: create LIBRARY LIBRARY ROUNDS PAUSE_US RECORDS [PORT]\n");
                return 2;
        }
        first = open_library(argv[1]);
        second = open_library(argv[2]);
        rounds = atoi(argv[3]);
        pause_us = atoi(argv[4]);
        records = atoi(argv[5]);
        port = argc == 7 ? atoi(argv[6]) : 0;
        request_size = fread(request, 1, sizeof(request), stdin);

        for (round = 0; round < rounds; round++) {
                /* Each takes its turn to go first: the later one may find warmer caches. */
                if (round % 2) {
                        without = create(&second, records, 0);
                        with = create(&first, records, 0);
                } else {
                        with = create(&first, records, 0);
                        without = create(&second, records, 0);
                }
                /* What the library tells the service afterwards is not part of a creation, and
                 * must not be in the way of the next one. Nothing shows when it is told: this is
                 * an application that takes its time. */
                usleep(pause_us);
                bare = port ? exchange(port) : 0;
                printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
                       with.creation, without.creation, bare, with.end, without.end);
        }
        create(&first, records, 1);
        return 0;
}
