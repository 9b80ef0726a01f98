/* Another library to be preloaded that takes rd_kafka_new too: it says so and hands it on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stddef.h>

void *rd_kafka_new(int type, void *conf, char *errstr, size_t errstr_size) {
        void *(*next)(int, void *, char *, size_t);

        *(void **)&next = dlsym(RTLD_NEXT, "rd_kafka_new");
        fprintf(stderr, "the other library saw a creation\n");
        return next ? next(type, conf, errstr, errstr_size) : NULL;
}
