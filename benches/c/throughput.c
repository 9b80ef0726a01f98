/* The demo's producer, unthrottled and in bursts. Each line on stdin is a number of records; when
 * all of them are delivered, it prints the nanoseconds that took by the clock, and those of
 * processor time in all threads. */
#define main demo_main
#include "../../examples/c/producer.c"
#undef main

static long long now(clockid_t clock) {
        struct timespec at;

        clock_gettime(clock, &at);
        return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void burst(rd_kafka_t *rk, unsigned long long records) {
        char key[32], value[512];
        unsigned long long number;

        for (number = 0; number < records; number++) {
                size_t length = make_order(number, key, sizeof(key), value, sizeof(value));
                produce(rk, "orders", key, strlen(key), value, length);
                rd_kafka_poll(rk, 0);
        }
        if (rd_kafka_flush(rk, 60 * 1000))
                fail("flush", "not all was delivered");
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        struct counters counters = {0};
        char line[32], errstr[512];
        rd_kafka_t *rk;

        if (argc != 2)
                fail("usage", "throughput BROKERS");
        set(conf, "bootstrap.servers", argv[1]);
        rd_kafka_conf_set_opaque(conf, &counters);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr))))
                fail("cannot create the producer", errstr);
        while (fgets(line, sizeof(line), stdin)) {
                long long clock     = now(CLOCK_MONOTONIC);
                long long processor = now(CLOCK_PROCESS_CPUTIME_ID);

                burst(rk, strtoull(line, NULL, 10));
                processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
                clock     = now(CLOCK_MONOTONIC) - clock;
                printf("%lld %lld\n", clock, processor);
                fflush(stdout);
        }
        rd_kafka_destroy(rk);
        return counters.failed ? 1 : 0;
}
