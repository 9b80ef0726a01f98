/* Produces records and waits for their delivery reports.
 *
 * By default the records are JSON orders of about 260 bytes, the same in each run; with -f they
 * are the lines of a file. Stdout depends on nothing but the options and the outcome, except
 * for the line of statistics that -s asks for. With -w the process goes on after its producer is
 * destroyed, until standard input ends, as one does that has other work.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

struct counters {
        uint64_t delivered;
        uint64_t failed;
        char *statistics; /* The latest document that stats_cb was given. */
        uint64_t documents;
};

static void fail(const char *what, const char *why) {
        fprintf(stderr, "producer: %s: %s\n", what, why);
        exit(2);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        struct counters *counters = opaque;
        (void)rk;
        if (message->err) {
                counters->failed++;
                fprintf(stderr, "producer: delivery failed: %s\n",
                        rd_kafka_err2str(message->err));
        } else {
                counters->delivered++;
        }
}

static int on_statistics(rd_kafka_t *rk, char *json, size_t length, void *opaque) {
        struct counters *counters = opaque;
        (void)rk;
        (void)length;
        free(counters->statistics);
        counters->statistics = json;
        counters->documents++;
        return 1; /* The document is ours to free. */
}

/* A small generator of its own (xorshift64*), so that each machine makes the same records. */
static uint64_t state = 88172645463325252ULL;

static unsigned pick(unsigned below) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (unsigned)((state * 2685821657736338717ULL >> 33) % below);
}

static const char *one_of(const char *const *names, unsigned count) {
        return names[pick(count)];
}

/* Writes the key and the value of order `number`; returns the value's length. */
static size_t make_order(unsigned long long number, char *key, size_t key_size, char *value,
                         size_t size) {
        static const char *const statuses[]  = {"created", "paid", "packed", "shipped"};
        static const char *const channels[]  = {"web", "app", "store", "partner"};
        static const char *const cities[][2] = {
            {"DE", "Hamburg"}, {"FR", "Lyon"},  {"ES", "Sevilla"}, {"IT", "Torino"},
            {"PL", "Gdansk"},  {"SE", "Malmo"}, {"IL", "Haifa"},   {"US", "Portland"}};
        unsigned long long second = 1740830400ULL + number / 50;
        unsigned quantity         = 1 + pick(5);
        unsigned cents            = 199 + pick(30000);
        unsigned total            = quantity * cents;
        const char *const *city   = cities[pick(8)];
        int length;

        snprintf(key, key_size, "customer-%05u", pick(20000));
        length = snprintf(value, size,
                          "{\"order_id\":\"ORD-%010llu\",\"customer_id\":\"%s\","
                          "\"created_at\":%llu,\"status\":\"%s\",\"channel\":\"%s\","
                          "\"items\":[{\"sku\":\"SKU-%06u\",\"quantity\":%u,"
                          "\"unit_price\":%u.%02u}],\"total\":%u.%02u,"
                          "\"ship_to\":{\"country\":\"%s\",\"city\":\"%s\","
                          "\"postal_code\":\"%05u\"}}",
                          number, key, second, one_of(statuses, 4), one_of(channels, 4),
                          pick(1000000), quantity, cents / 100, cents % 100, total / 100,
                          total % 100, city[0], city[1], pick(100000));
        return (size_t)length;
}

/* Waits until record `number` is due at `rate` records a second. */
static void keep_pace(const struct timespec *start, unsigned long long number, double rate) {
        double due = (double)number / rate;
        struct timespec until;

        until.tv_sec  = start->tv_sec + (time_t)due;
        until.tv_nsec = start->tv_nsec + (long)((due - (double)(time_t)due) * 1e9);
        if (until.tv_nsec >= 1000000000L) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000L;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
                ;
}

static void produce(rd_kafka_t *rk, const char *topic, const void *key, size_t key_length,
                    const void *value, size_t length) {
        rd_kafka_resp_err_t err;

        while ((err = rd_kafka_producev(
                    rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_length),
                    RD_KAFKA_V_VALUE((void *)value, length),
                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
               RD_KAFKA_RESP_ERR__QUEUE_FULL)
                rd_kafka_poll(rk, 100);
        if (err)
                fail("cannot produce", rd_kafka_err2str(err));
}

/* The integer after the last `"name":` of a statistics document: the client's own totals stand
 * at its end. */
static long long last_number(const char *json, const char *name) {
        const char *at = NULL, *next = json;

        while ((next = strstr(next, name)))
                at = next += strlen(name);
        return at ? strtoll(at, NULL, 10) : 0;
}

/* One line from the client's own statistics: what it sent, and in how many Produce requests to
 * each broker. */
static void print_statistics(const char *json) {
        const char *at        = json;
        const char *separator = "";

        printf("{\"tx_requests\":%lld,\"tx_bytes\":%lld,\"messages\":%lld,"
               "\"message_bytes\":%lld,\"produce_requests\":{",
               last_number(json, "\"tx\":"), last_number(json, "\"tx_bytes\":"),
               last_number(json, "\"txmsgs\":"), last_number(json, "\"txmsg_bytes\":"));
        while ((at = strstr(at, "\"nodeid\":"))) {
                long long node = strtoll(at += strlen("\"nodeid\":"), NULL, 10);
                const char *requests;
                if (node < 0) /* An address that the client was started with, not a broker. */
                        continue;
                if (!(requests = strstr(at, "\"Produce\":")))
                        break;
                printf("%s\"%lld\":%lld", separator, node,
                       strtoll(requests + strlen("\"Produce\":"), NULL, 10));
                separator = ",";
        }
        printf("}}\n");
}

static void usage(void) {
        fprintf(stderr, "usage: producer -b BROKERS -t TOPIC [-n COUNT] [-r RECORDS_PER_SECOND]\n"
                        "                [-f FILE] [-s] [-w] [-X KEY=VALUE]...\n");
        exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char errstr[512];
        if (rd_kafka_conf_set(conf, key, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
                fail(key, errstr);
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf     = rd_kafka_conf_new();
        const char *topic         = NULL;
        const char *path          = NULL;
        unsigned long long count  = 0, produced;
        unsigned long long bytes  = 0;
        int counted               = 0;
        int statistics            = 0;
        int goes_on               = 0;
        double rate               = 0;
        struct counters counters  = {0};
        struct timespec start;
        FILE *file = NULL;
        char errstr[512];
        char *line       = NULL;
        size_t line_size = 0;
        rd_kafka_t *rk;
        int option;

        while ((option = getopt(argc, argv, "b:t:n:r:f:swX:")) != -1) {
                char *value;
                switch (option) {
                case 'b': set(conf, "bootstrap.servers", optarg); break;
                case 't': topic = optarg; break;
                case 'n': count = strtoull(optarg, NULL, 10); counted = 1; break;
                case 'r': rate = strtod(optarg, NULL); break;
                case 'f': path = optarg; break;
                case 's': statistics = 1; break;
                case 'w': goes_on = 1; break;
                case 'X':
                        if (!(value = strchr(optarg, '=')))
                                usage();
                        *value++ = '\0';
                        set(conf, optarg, value);
                        break;
                default: usage();
                }
        }
        if (!topic || optind != argc)
                usage();
        if (!counted && !path)
                count = 1000;
        if (path && !(file = fopen(path, "r")))
                fail(path, strerror(errno));

        rd_kafka_conf_set_opaque(conf, &counters);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        if (statistics) {
                set(conf, "statistics.interval.ms", "500");
                rd_kafka_conf_set_stats_cb(conf, on_statistics);
        }
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                rd_kafka_conf_destroy(conf);
                fail("cannot create the producer", errstr);
        }

        clock_gettime(CLOCK_MONOTONIC, &start);
        for (produced = 0; path && !counted ? 1 : produced < count; produced++) {
                if (rate > 0)
                        keep_pace(&start, produced, rate);
                if (file) {
                        ssize_t length = getline(&line, &line_size, file);
                        if (length < 0)
                                break;
                        if (length > 0 && line[length - 1] == '\n')
                                length--;
                        produce(rk, topic, NULL, 0, line, (size_t)length);
                        bytes += (unsigned long long)length;
                } else {
                        char key[32], value[512];
                        size_t length =
                            make_order(produced, key, sizeof(key), value, sizeof(value));
                        produce(rk, topic, key, strlen(key), value, length);
                        bytes += length;
                }
                rd_kafka_poll(rk, 0);
        }
        rd_kafka_flush(rk, 60 * 1000);
        if (statistics) {
                /* The document after the next one was begun when everything was delivered. */
                uint64_t enough = counters.documents + 2;
                while (counters.documents < enough)
                        rd_kafka_poll(rk, 1000);
        }

        printf("produced %llu records of %llu bytes to %s\n", produced, bytes, topic);
        printf("delivered %" PRIu64 ", failed %" PRIu64 ", left in the queue %d\n",
               counters.delivered, counters.failed, rd_kafka_outq_len(rk));
        if (statistics)
                print_statistics(counters.statistics);
        rd_kafka_destroy(rk);
        free(counters.statistics);
        free(line);
        if (file)
                fclose(file);
        if (goes_on) {
                fclose(stdout); /* Whoever reads it need not wait. */
                while (getchar() != EOF)
                        ;
        }
        return counters.delivered == produced ? 0 : 1;
}
