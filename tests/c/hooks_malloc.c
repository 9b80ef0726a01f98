/* A replacement of malloc that finds the real one by dlsym at the first call, long before main. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);
static size_t (*real_size)(void *);
static int looking;
/* For what the lookup itself may take. */
static _Alignas(16) char early[4096];
static size_t used;

static void look(void) {
        looking = 1;
        real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
        real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
        real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
        real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
        real_size = (size_t (*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
        looking = 0;
}

static void *take_early(size_t size) {
        void *place = early + used;

        used += (size + 15) / 16 * 16;
        return used <= sizeof(early) ? place : NULL;
}

static int is_early(void *place) {
        return (char *)place >= early && (char *)place < early + sizeof(early);
}

void *malloc(size_t size) {
        if (looking)
                return take_early(size);
        if (!real_malloc)
                look();
        return real_malloc(size);
}

void *calloc(size_t count, size_t size) {
        if (looking)
                return take_early(count * size);
        if (!real_calloc)
                look();
        return real_calloc(count, size);
}

void *realloc(void *place, size_t size) {
        if (!real_realloc)
                look();
        if (is_early(place))
                return memcpy(malloc(size), place, size);
        return real_realloc(place, size);
}

void free(void *place) {
        if (!real_free)
                look();
        if (place && !is_early(place))
                real_free(place);
}

size_t malloc_usable_size(void *place) {
        return is_early(place) || !place ? 0 : real_size(place);
}
