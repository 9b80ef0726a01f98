/* An allocator to be preloaded that hands out memory and takes none back, and has no
 * malloc_usable_size(). */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ROOM ((size_t)1 << 32)
#define HEADER 16

static char *start;
static size_t used;

void *memalign(size_t alignment, size_t size) {
        size_t at;

        if (!start) {
                char *memory = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
                char *none = NULL;

                __atomic_compare_exchange_n(&start, &none, memory, 0, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST);
        }
        at = __atomic_fetch_add(&used, size + HEADER + alignment + 15, __ATOMIC_SEQ_CST);
        if (at + size + HEADER + alignment > ROOM) {
                errno = ENOMEM;
                return NULL;
        }
        at = ((uintptr_t)start + at + HEADER + alignment - 1) & ~(alignment - 1);
        /* Where another allocator has flags and sizes of its own, there is something else. */
        memset((char *)at - HEADER, 0x11, HEADER);
        ((size_t *)at)[-2] = size;
        return (void *)at;
}

void *malloc(size_t size) {
        return memalign(16, size);
}

void *calloc(size_t count, size_t size) {
        return malloc(count * size);
}

void free(void *memory) {
        (void)memory;
}

void *realloc(void *memory, size_t size) {
        void *fresh = malloc(size);

        if (memory && fresh) {
                size_t old = ((size_t *)memory)[-2];

                memcpy(fresh, memory, old < size ? old : size);
        }
        return fresh;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
        *memory = memalign(alignment, size);
        return *memory ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size) {
        return memalign(alignment, size);
}
