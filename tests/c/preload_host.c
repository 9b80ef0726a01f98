/* Opens the module, has it create a producer and closes it, as often as told. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
        int rounds = argc > 2 ? atoi(argv[2]) : 1;

        while (rounds--) {
                void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
                const char *(*linger)(void);

                if (!module) {
                        printf("%s\n", dlerror());
                        return 1;
                }
                *(void **)&linger = dlsym(module, "linger_of_a_producer");
                printf("linger.ms %s\n", linger());
                dlclose(module);
        }
        return 0;
}
