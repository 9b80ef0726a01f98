/* Another library to be preloaded that takes functions of librdkafka too: it says so and hands them
 * on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

void *rd_kafka_new(int type, void *conf, char *errstr, size_t errstr_size) {
        void *(*next)(int, void *, char *, size_t);

        *(void **)&next = dlsym(RTLD_NEXT, "rd_kafka_new");
        fprintf(stderr, "the other library saw a creation\n");
        return next ? next(type, conf, errstr, errstr_size) : NULL;
}

void *rd_kafka_conf_new(void) {
        void *(*next)(void);

        *(void **)&next = dlsym(RTLD_NEXT, "rd_kafka_conf_new");
        return next ? next() : NULL;
}
