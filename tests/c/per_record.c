/* What a record costs the thread that produces it, beside its work.
 *
 * usage: per_record TOPICS RECORDS
 *
 * After one record in each of TOPICS topics, prints how often RECORDS more of them allocated. Whoever
 * traces it sees their system calls between two of getppid. No broker is there, so nothing but
 * producing happens on the thread. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static _Thread_local long allocations;

void *malloc(size_t size) {
        allocations++;
        return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
        allocations++;
        return __libc_calloc(count, size);
}

void *realloc(void *place, size_t size) {
        allocations++;
        return __libc_realloc(place, size);
}

static void fail(const char *what) {
        fprintf(stderr, "per_record: %s\n", what);
        exit(1);
}

static void produce(rd_kafka_topic_t *topic) {
        if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, "value", 5, "key",
                             3, NULL))
                fail(rd_kafka_err2str(rd_kafka_last_error()));
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        long topics, records, number, before;
        rd_kafka_topic_t **all;
        char errstr[512];
        rd_kafka_t *rk;

        if (argc != 3)
                fail("usage: per_record TOPICS RECORDS");
        topics = atol(argv[1]);
        records = atol(argv[2]);
        /* Nobody listens there. */
        rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
        rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail(errstr);
        all = calloc((size_t)topics, sizeof(*all));
        for (number = 0; number < topics; number++) {
                char name[32];

                snprintf(name, sizeof(name), "orders-%ld", number);
                all[number] = rd_kafka_topic_new(rk, name, NULL);
                produce(all[number]);
        }

        before = allocations;
        syscall(SYS_getppid);
        for (number = 0; number < records; number++)
                produce(all[number % topics]);
        syscall(SYS_getppid);
        printf("%ld\n", allocations - before);
        fflush(stdout);

        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE);
        rd_kafka_flush(rk, 10000);
        for (number = 0; number < topics; number++)
                rd_kafka_topic_destroy(all[number]);
        free(all);
        rd_kafka_destroy(rk);
        return 0;
}
