/* Clients that come and go in one process, and what stays of them. Reads a command per line:
 *   make COUNT   creates and destroys so many producers; each third one delivers a record to the
 *                brokers that the program was given
 *   measure      tells what the process has: KiB in memory, threads, our threads, descriptors */
#define _GNU_SOURCE
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define EACH 3

static char errstr[512];
static int made, records;

static void fail(const char *what) {
        fprintf(stderr, "%s: %s\n", what, errstr);
        exit(1);
}

/* What librdkafka has to say of clients without a broker is not asked for. */
static void say_nothing(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
        (void)rk, (void)level, (void)facility, (void)text;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
        if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)))
                fail(name);
}

static rd_kafka_t *producer(rd_kafka_conf_t *conf) {
        rd_kafka_t *rk;

        rd_kafka_conf_set_log_cb(conf, say_nothing);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail("rd_kafka_new");
        return rk;
}

static void deliver(rd_kafka_t *rk) {
        if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_VALUE("hello", 5),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END) ||
            rd_kafka_flush(rk, 60 * 1000))
                fail("deliver");
        records++;
}

static void make(int count, const char *brokers) {
        while (count--) {
                rd_kafka_conf_t *conf = rd_kafka_conf_new();
                int delivers = made++ % EACH == 0;
                rd_kafka_t *rk;

                if (delivers)
                        set(conf, "bootstrap.servers", brokers);
                rk = producer(conf);
                if (delivers)
                        deliver(rk);
                rd_kafka_destroy(rk);
        }
        printf("%d\n", records);
}

static long resident(void) {
        long pages = 0;
        FILE *file = fopen("/proc/self/statm", "r");

        if (!file || fscanf(file, "%*d %ld", &pages) != 1)
                fail("statm");
        fclose(file);
        return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* How many entries a folder of /proc/self has; of the threads those with this name. */
static int count(const char *folder, const char *name) {
        DIR *open = opendir(folder);
        const struct dirent *entry;
        char path[300], line[64];
        int found = 0;

        while ((entry = readdir(open))) {
                FILE *file;

                if (entry->d_name[0] == '.')
                        continue;
                if (!name) {
                        found++;
                        continue;
                }
                snprintf(path, sizeof(path), "%s/%s/comm", folder, entry->d_name);
                if (!(file = fopen(path, "r")))
                        continue;
                found += fgets(line, sizeof(line), file) && !strcmp(line, name);
                fclose(file);
        }
        closedir(open);
        return found;
}

static void measure(void) {
        /* What the allocator keeps for later is not in use. */
        malloc_trim(0);
        printf("%ld %d %d %d\n", resident(), count("/proc/self/task", NULL),
               count("/proc/self/task", "superstream\n"), count("/proc/self/fd", NULL));
}

int main(int argc, char **argv) {
        char line[64];

        while (argc == 2 && fgets(line, sizeof(line), stdin)) {
                if (!strncmp(line, "make ", 5))
                        make(atoi(line + 5), argv[1]);
                else
                        measure();
                fflush(stdout);
        }
        return 0;
}
