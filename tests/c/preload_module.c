/* A module that carries an engine: preload_host.c opens it, and closes it again. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

const char *linger_of_a_producer(void) {
        static char errstr[512], linger[64];
        size_t size = sizeof(linger);
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_t *rk;

        rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
        rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr))))
                return errstr;
        rd_kafka_conf_get(rd_kafka_conf(rk), "linger.ms", linger, &size);
        rd_kafka_destroy(rk);
        return linger;
}
