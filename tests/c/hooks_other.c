/* Somebody else's preload library that takes dlsym and dlopen, and says at the end that it was
 * asked. It finds the real ones as such libraries do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#ifdef __x86_64__
#define VERSION "GLIBC_2.2.5"
#else
#define VERSION "GLIBC_2.17"
#endif

static int asked, opened;

void *dlsym(void *handle, const char *name) {
        static void *(*real)(void *, const char *);

        if (!real)
                real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", VERSION);
        asked |= !strcmp(name, "rd_kafka_new");
        return real(handle, name);
}

void *dlopen(const char *file, int flags) {
        static void *(*real)(const char *, int);

        if (!real)
                real = (void *(*)(const char *, int))dlvsym(RTLD_NEXT, "dlopen", VERSION);
        opened |= file && strstr(file, "librdkafka");
        return real(file, flags);
}

__attribute__((destructor)) static void tell(void) {
        printf("the other library saw%s%s\n", asked ? " dlsym" : "", opened ? " dlopen" : "");
}
