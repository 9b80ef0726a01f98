/* Opens two modules with different engines. The first one calls the second one's
 * linger_of_a_producer_with() (preload_module.c), which ends in a tail call of rd_kafka_new: its
 * return address is in the first module. Then an engine becomes global. */
#include <dlfcn.h>
#include <stdio.h>

static void *open_module(const char *name, int flags) {
        void *module = dlopen(name, RTLD_NOW | flags);

        if (!module)
                printf("%s\n", dlerror());
        return module;
}

static void show(void *first, void *second) {
        const char *(*relay)(void *);

        *(void **)&relay = dlsym(first, "relay");
        printf("linger.ms %s\n", relay(second));
}

int main(int argc, char **argv) {
        void *first, *second;

        if (argc < 4 || !(first = open_module(argv[1], RTLD_LOCAL)) ||
            !(second = open_module(argv[2], RTLD_LOCAL)))
                return 1;
        show(first, second);
        if (!open_module(argv[3], RTLD_GLOBAL))
                return 1;
        show(first, second);
        show(second, first);
        return 0;
}
