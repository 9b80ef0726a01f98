/* A module of dlopen_host.c; with -DWITH_ENGINE one that is linked with librdkafka. */
#include <stdio.h>
#include <string.h>

const char *dlopen_who(void) {
        return "itself";
}

/* The host's under the usual rules, its own with RTLD_DEEPBIND. */
const char *dlopen_ask(void) {
        return dlopen_who();
}

#ifdef WITH_ENGINE
#include <librdkafka/rdkafka.h>

const char *dlopen_linger(void) {
        static char errstr[512], linger[64];
        size_t size = sizeof(linger);
        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), errstr, sizeof(errstr));

        if (!rk)
                return errstr;
        rd_kafka_conf_get(rd_kafka_conf(rk), "linger.ms", linger, &size);
        rd_kafka_destroy(rk);
        return linger;
}
#else
const char *dlopen_linger(void) {
        return "of no engine";
}
#endif
