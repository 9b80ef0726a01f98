/* Looks functions up in many ways and tells whose they are. The account has to be the same with
 * the hooks as without them.
 *   hooks_lookups ENGINE
 * It is linked with hooks_outer.c, and that with hooks_inner.c. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *outer_next(const char *name);
void *outer_default(const char *name);
void *outer_open(const char *file, int flags);

/* Defined here, in the outer and in the inner library. */
int hooks_layer(void) {
        return 0;
}

static const char *file_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static void tell_error(void) {
        const char *first = dlerror();

        printf(", error %s", first ? first : "none");
        printf(", then %s\n", dlerror() ? "another" : "none");
}

static void tell(const char *what, void *found) {
        Dl_info about;

        printf("%s: ", what);
        if (!found)
                printf("nothing");
        else
                printf("%s", dladdr(found, &about) ? file_of(about.dli_fname) : "no library's");
        tell_error();
}

static void tell_opened(const char *what, void *handle) {
        struct link_map *map;

        printf("%s: ", what);
        if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map))
                printf("not opened");
        else
                printf("%s", file_of(map->l_name));
        tell_error();
}

int main(int argc, char **argv) {
        static const char *names[] = {"rd_kafka_new", "rd_kafka_topic_new",
                                      "rd_kafka_share_consumer_new", "rd_kafka_conf_new",
                                      "rd_kafka_ne", "rd_kafka_newer", "getpid", "hooks_layer", ""};
        void *program = dlopen(NULL, RTLD_NOW);
        void *engine = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
        void *inner = dlopen("libhooks_inner.so", RTLD_NOW | RTLD_NOLOAD);
        size_t i;

        tell_opened("engine", engine);
        tell_opened("inner", inner);
        for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
                const char *name = names[i];

                printf("-- %s\n", name);
                tell("engine", dlsym(engine, name));
                tell("inner", dlsym(inner, name));
                tell("program", dlsym(program, name));
                tell("default", dlsym(RTLD_DEFAULT, name));
                tell("next", dlsym(RTLD_NEXT, name));
                tell("default of outer", outer_default(name));
                tell("next of outer", outer_next(name));
        }

        printf("-- opening\n");
        tell_opened("beside outer, by name", outer_open("libhooks_leaf.so", RTLD_NOW));
        tell_opened("nothing beside the program",
                    dlopen("libhooks_no_leaf.so", RTLD_NOW | RTLD_DEEPBIND));
        tell_opened("no such file", dlopen("/no/such/file.so", RTLD_NOW | RTLD_DEEPBIND));
        tell_opened("no library", dlopen("/etc/passwd", RTLD_NOW | RTLD_DEEPBIND));
        tell_opened("a folder", dlopen("/", RTLD_NOW | RTLD_DEEPBIND));
        tell_opened("bad flags", dlopen(argv[0], 0));

        printf("-- errors\n");
        /* An error that nobody asked about is gone with the next call. */
        dlsym(engine, "no_such_function");
        tell("after an error", dlsym(engine, "rd_kafka_new"));
        dlopen("/no/such/file.so", RTLD_NOW);
        tell("after another", dlsym(engine, "rd_kafka_topic_new"));
        errno = 77;
        dlsym(engine, "rd_kafka_new");
        dlsym(engine, "rd_kafka_conf_new");
        printf("errno: %d\n", errno);
        return 0;
}
