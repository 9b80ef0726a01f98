/* Producers, and what the process that has them holds. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static void fail(const char *what, const char *why) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
        exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
        char errstr[512];

        if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)))
                fail(name, errstr);
}

static rd_kafka_t *producer(rd_kafka_conf_t *conf, const char *brokers) {
        char errstr[512];
        rd_kafka_t *rk;

        set(conf, "bootstrap.servers", brokers);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail("rd_kafka_new", errstr);
        return rk;
}

static long field(const char *name) {
        char line[256];
        long value = -1;
        FILE *file = fopen("/proc/self/status", "r");

        while (file && fgets(line, sizeof(line), file))
                if (!strncmp(line, name, strlen(name)))
                        value = atol(line + strlen(name));
        if (file)
                fclose(file);
        return value;
}

#define THREADS "Threads:"
/* Kilobytes of resident memory in all, and without the pages of files. */
#define MEMORY "VmRSS:", "RssAnon:"

/* Prints some of these, and ends the process without cleaning up. */
#define TELL(...) tell((const char *[]){__VA_ARGS__, NULL})

static void tell(const char **names) {
        long values[3];
        int count = 0, number;

        malloc_trim(0);
        for (; names[count]; count++)
                values[count] = field(names[count]);
        for (number = 0; number < count; number++)
                printf("%ld%c", values[number], number + 1 < count ? ' ' : '\n');
        fflush(stdout);
        _exit(0);
}
