/* Creates one producer, lets it settle, and tells what the process then holds: threads, and
 * kilobytes of resident memory in all and without the pages of files. */
#define _GNU_SOURCE
#include "held.h"

static int is_settled;

/* The engine has made all its threads, and found that there is no broker. */
static void settled(rd_kafka_t *rk, int error, const char *reason, void *opaque) {
        (void)rk, (void)reason, (void)opaque;
        if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
                is_settled = 1;
}

int main(void) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_t *rk;

        rd_kafka_conf_set_error_cb(conf, settled);
        set(conf, "log_level", "0");
        rk = producer(conf, "127.0.0.1:1");
        while (!is_settled)
                rd_kafka_poll(rk, 100);
        TELL(THREADS, MEMORY);
}
