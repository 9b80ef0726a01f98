/* What is called here and came to glibc only after the oldest version that the library runs on
 * (see glibc.rs), through what that version has. */
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The layout of `struct stat`, as these functions number it. */
#ifdef __x86_64__
#define LAYOUT 1
#else
#define LAYOUT 0
#endif

int __xstat(int layout, const char *path, void *found);
int __lxstat(int layout, const char *path, void *found);
int __fxstat(int layout, int file, void *found);
int __res_nsearch(void *state, const char *name, int class, int type, unsigned char *answer,
                  int size);

int stat(const char *path, void *found) {
        return __xstat(LAYOUT, path, found);
}

int lstat(const char *path, void *found) {
        return __lxstat(LAYOUT, path, found);
}

int fstat(int file, void *found) {
        return __fxstat(LAYOUT, file, found);
}

/* On a 64-bit system, `struct stat64` is the same. */
int stat64(const char *path, void *found) {
        return __xstat(LAYOUT, path, found);
}

int lstat64(const char *path, void *found) {
        return __lxstat(LAYOUT, path, found);
}

int fstat64(int file, void *found) {
        return __fxstat(LAYOUT, file, found);
}

pid_t gettid(void) {
        return (pid_t)syscall(SYS_gettid);
}

int res_nsearch(void *state, const char *name, int class, int type, unsigned char *answer,
                int size) {
        return __res_nsearch(state, name, class, type, answer, size);
}
