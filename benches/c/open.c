/* Opens a library and tells what that cost: nanoseconds on the clock, and of processor time.
 * A process can do it only once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static int64_t now(clockid_t clock) {
        struct timespec at;

        clock_gettime(clock, &at);
        return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

int main(int argc, char **argv) {
        int64_t wall, processor;

        if (argc != 2) {
                fprintf(stderr, "usage: open LIBRARY\n");
                return 2;
        }
        wall = now(CLOCK_MONOTONIC);
        processor = now(CLOCK_PROCESS_CPUTIME_ID);
        if (!dlopen(argv[1], RTLD_NOW)) {
                fprintf(stderr, "open: %s\n", dlerror());
                return 1;
        }
        processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
        wall = now(CLOCK_MONOTONIC) - wall;
        printf("%" PRId64 " %" PRId64 "\n", wall, processor);
        return 0;
}
