/* A module that carries an engine: preload_host.c and preload_tail.c open it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>

/* Ends in a tail call, so that the engine returns to this function's caller. */
__attribute__((noinline, optimize("O2"))) rd_kafka_t *create(rd_kafka_conf_t *conf, char *errstr,
                                                              size_t size) {
        return rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, size);
}

rd_kafka_conf_t *configure(void) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();

        rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
        rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
        return conf;
}

const char *finish(rd_kafka_t *rk) {
        static char linger[64];
        size_t size = sizeof(linger);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, "t", NULL);

        rd_kafka_conf_get(rd_kafka_conf(rk), "linger.ms", linger, &size);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
        return linger;
}

const char *linger_of_a_producer(void) {
        static char errstr[512];
        rd_kafka_t *rk = create(configure(), errstr, sizeof(errstr));

        return rk ? finish(rk) : errstr;
}

/* The same with the functions of another module. */
const char *relay(void *module) {
        static char errstr[512];
        rd_kafka_t *(*their_create)(rd_kafka_conf_t *, char *, size_t);
        rd_kafka_conf_t *(*their_configure)(void);
        const char *(*their_finish)(rd_kafka_t *);
        rd_kafka_t *rk;

        *(void **)&their_create    = dlsym(module, "create");
        *(void **)&their_configure = dlsym(module, "configure");
        *(void **)&their_finish    = dlsym(module, "finish");
        rk                         = their_create(their_configure(), errstr, sizeof(errstr));
        return rk ? their_finish(rk) : errstr;
}
