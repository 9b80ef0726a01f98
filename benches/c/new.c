/* Creates producers one after the other and prints how long each creation took, in nanoseconds. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv) {
        int count = argc > 1 ? atoi(argv[1]) : 1;

        while (count--) {
                char errstr[512];
                rd_kafka_conf_t *conf = rd_kafka_conf_new();
                rd_kafka_t *rk;
                long long begin;

                rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
                rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
                begin = now_ns();
                rk    = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
                printf("%lld\n", now_ns() - begin);
                if (!rk) {
                        fprintf(stderr, "new: %s\n", errstr);
                        return 1;
                }
                rd_kafka_destroy(rk);
        }
        return 0;
}
