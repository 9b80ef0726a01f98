/* Opens modules as PHP opens its extensions: with RTLD_DEEPBIND.
 *   dlopen_host [-g LIBRARY] MODULE …
 * -g: a library that is there before, for everybody. A line for each module. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The module has one of the same name. */
const char *dlopen_who(void) {
        return "the host";
}

int main(int argc, char **argv) {
        int i;

        for (i = 1; i < argc; i++) {
                int global = !strcmp(argv[i], "-g");
                const char *path = argv[global ? ++i : i];
                int flags = global ? RTLD_GLOBAL : RTLD_LOCAL | RTLD_DEEPBIND;
                void *handle = dlopen(path, RTLD_LAZY | flags);
                const char *(*ask)(void), *(*linger)(void);

                if (!handle) {
                        printf("%s\n", dlerror());
                        return 1;
                }
                if (global)
                        continue;
                ask = (const char *(*)(void))dlsym(handle, "dlopen_ask");
                linger = (const char *(*)(void))dlsym(handle, "dlopen_linger");
                printf("binds to %s, linger.ms %s\n", ask(), linger());
        }
        return 0;
}
