/* Loads one or two librdkafkas by path and uses each through its own functions:
 *   loader [-g] PATH [-d] PATH …
 * -g: the next one globally; -d: the next one with RTLD_DEEPBIND. Prints a line for each use. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

/* What one library's functions are, found on its own handle. */
struct library {
        void *handle;
        const char *(*version)(void);
        rd_kafka_conf_t *(*conf_new)(void);
        rd_kafka_conf_res_t (*conf_set)(rd_kafka_conf_t *, const char *, const char *, char *,
                                        size_t);
        rd_kafka_conf_res_t (*conf_get)(const rd_kafka_conf_t *, const char *, char *, size_t *);
        rd_kafka_t *(*create)(rd_kafka_type_t, rd_kafka_conf_t *, char *, size_t);
        const rd_kafka_conf_t *(*conf)(rd_kafka_t *);
        rd_kafka_resp_err_t (*producev)(rd_kafka_t *, ...);
        rd_kafka_resp_err_t (*flush)(rd_kafka_t *, int);
        int (*outq_len)(rd_kafka_t *);
        void (*destroy)(rd_kafka_t *);
        char *(*status)(const rd_kafka_t *);
};

static void *function(void *handle, const char *name) {
        void *found = dlsym(handle, name);

        if (!found && strncmp(name, "superstream", 11)) {
                printf("%s is missing\n", name);
                exit(1);
        }
        return found;
}

static struct library load(const char *path, int flags) {
        struct library library;

        library.handle = dlopen(path, RTLD_NOW | flags);
        if (!library.handle) {
                printf("%s\n", dlerror());
                exit(1);
        }
#define FIND(member, name) *(void **)&library.member = function(library.handle, name)
        FIND(version, "rd_kafka_version_str");
        FIND(conf_new, "rd_kafka_conf_new");
        FIND(conf_set, "rd_kafka_conf_set");
        FIND(conf_get, "rd_kafka_conf_get");
        FIND(create, "rd_kafka_new");
        FIND(conf, "rd_kafka_conf");
        FIND(producev, "rd_kafka_producev");
        FIND(flush, "rd_kafka_flush");
        FIND(outq_len, "rd_kafka_outq_len");
        FIND(destroy, "rd_kafka_destroy");
        FIND(status, "superstream_status");
        return library;
}

static rd_kafka_t *create(const struct library *library) {
        rd_kafka_conf_t *conf = library->conf_new();
        const char *brokers = getenv("BROKERS");
        char errstr[512];
        rd_kafka_t *rk;

        if (library->conf_set(conf, "bootstrap.servers", brokers ? brokers : "", errstr,
                              sizeof(errstr)) != RD_KAFKA_CONF_OK ||
            !(rk = library->create(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                printf("%s\n", errstr);
                exit(1);
        }
        return rk;
}

static void use(const struct library *library, rd_kafka_t *rk) {
        char linger[64];
        size_t size = sizeof(linger);
        rd_kafka_resp_err_t produced, flushed;

        library->conf_get(library->conf(rk), "linger.ms", linger, &size);
        produced = library->producev(rk, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_VALUE("hi", 2),
                                     RD_KAFKA_V_END);
        flushed = library->flush(rk, 60 * 1000);
        printf("%s: linger.ms %s, produced %d, flushed %d, left %d, status %s\n",
               library->version(), linger, produced, flushed, library->outq_len(rk),
               !library->status ? "none" : strstr(library->status(rk), "\"on\":true") ? "on" : "off");
}

int main(int argc, char **argv) {
        struct library libraries[4];
        rd_kafka_t *clients[4];
        int count = 0, flags = RTLD_LOCAL, i;

        for (i = 1; i < argc && count < 4; i++) {
                if (!strcmp(argv[i], "-g"))
                        flags = RTLD_GLOBAL;
                else if (!strcmp(argv[i], "-d"))
                        flags = RTLD_LOCAL | RTLD_DEEPBIND;
                else {
                        libraries[count++] = load(argv[i], flags);
                        flags = RTLD_LOCAL;
                }
        }
        /* All of them exist before the first is used. */
        for (i = 0; i < count; i++)
                clients[i] = create(&libraries[i]);
        for (i = 0; i < count; i++)
                use(&libraries[i], clients[i]);
        for (i = 0; i < count; i++)
                libraries[i].destroy(clients[i]);
        for (i = 0; i < count; i++)
                printf("closed: %d\n", dlclose(libraries[i].handle));
        if (getenv("AGAIN")) {
                struct library again = load(getenv("AGAIN"), RTLD_LOCAL);
                rd_kafka_t *rk = create(&again);

                use(&again, rk);
                again.destroy(rk);
                printf("closed: %d\n", dlclose(again.handle));
        }
        return 0;
}
