/* A librdkafka as far as its file tells: the functions, and the table of properties. */
#include <stddef.h>

#ifndef VERSION
#define VERSION 0x020c01ff
#endif

struct property {
        int scope;
        const char *name;
        int type, offset;
        const char *description;
        int least, most, usual;
        const char *text;
        struct {
                int bit;
                const char *name;
                const char *missing;
        } values[20];
};

const struct property rd_kafka_properties[] = {
    {1,
     "builtin.features",
     5,
     8,
     "Indicates the builtin features for this build of librdkafka. And more.",
     0,
     0x7fffffff,
     0xffff,
     NULL,
     {{1, "gzip", NULL},
      {2, "snappy", NULL},
      {4, "ssl", "OpenSSL not available at build time"},
      {0x100, "plugins", NULL},
      {0x4000, "oidc", NULL}}},
    {1, "client.id", 0, 16, "The client's name.", 0, 0, 0, "rdkafka", {{0}}},
};

unsigned rd_kafka_version(void) {
        return VERSION;
}

void *rd_kafka_new(int type, void *conf, char *errstr, size_t size) {
        (void)type, (void)conf, (void)errstr, (void)size;
        return (void *)rd_kafka_properties;
}

#ifdef DROP_IN
const char *superstream_version(void) {
        return "0.0.0";
}
#endif

#ifdef OWN_CALL
/* A module that carries its engine, and calls it. */
void *module_start(void) {
        return rd_kafka_new(0, NULL, NULL, 0);
}
#endif
