/* A library between a program and the inner library: it looks for what comes after itself, and
 * opens what lies beside itself. */
#define _GNU_SOURCE
#include <dlfcn.h>

int hooks_layer(void) {
        return 1;
}

void *outer_next(const char *name) {
        return dlsym(RTLD_NEXT, name);
}

void *outer_default(const char *name) {
        return dlsym(RTLD_DEFAULT, name);
}

void *outer_open(const char *file, int flags) {
        return dlopen(file, flags);
}
