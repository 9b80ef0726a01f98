/* Forks while another thread holds the lock of dl_iterate_phdr(), as a profiler does for a moment.
 * The child has that lock taken for ever, and makes a client and a topic all the same. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static int inside[2], leave[2];

static int stay(struct dl_phdr_info *info, size_t size, void *opaque) {
        char byte = 0;

        (void)info, (void)size, (void)opaque;
        return write(inside[1], &byte, 1) != 1 || read(leave[0], &byte, 1) != 1 || 1;
}

static void *walk(void *opaque) {
        (void)opaque;
        dl_iterate_phdr(stay, NULL);
        return NULL;
}

static rd_kafka_t *producer(void) {
        char errstr[512];

        return rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), errstr, sizeof(errstr));
}

int main(void) {
        pthread_t thread;
        char byte = 0;
        int status = 1;
        pid_t child;

        /* The engine's first client loads modules of SASL, which takes the lock. */
        rd_kafka_destroy(producer());
        if (pipe(inside) || pipe(leave) || pthread_create(&thread, NULL, walk, NULL) ||
            read(inside[0], &byte, 1) != 1)
                return 1;
        child = fork();
        if (!child) {
                rd_kafka_t *rk;

                alarm(20);
                rk = producer();
                _exit(!rk || !rd_kafka_topic_new(rk, "orders", NULL));
        }
        waitpid(child, &status, 0);
        if (write(leave[1], &byte, 1) != 1)
                return 1;
        pthread_join(thread, NULL);
        puts(status ? "the child failed" : "made");
        return 0;
}
