/* Creates a producer with the properties that are given as NAME=VALUE and keeps asking it for
 * metadata. Prints which library it got, and each error event. Ends with its stdin. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
        (void)rk;
        (void)opaque;
        printf("error: %s: %s\n", rd_kafka_err2name((rd_kafka_resp_err_t)err), reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
        (void)rk;
        printf("log %d: %s: %s\n", level, facility, text);
}

static int stdin_has_ended(void) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        char unused;

        return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &unused, 1) <= 0;
}

int main(int count, char **properties) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        const struct rd_kafka_metadata *metadata;
        char text[512];
        Dl_info library;
        rd_kafka_t *rk;
        int i;

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (dladdr(dlsym(RTLD_DEFAULT, "rd_kafka_new"), &library))
                printf("library: %s\n", library.dli_fname);
        for (i = 1; i < count; i++) {
                char *value = strchr(properties[i], '=');

                if (!value)
                        return 2;
                *value++ = '\0';
                if (rd_kafka_conf_set(conf, properties[i], value, text, sizeof(text)) !=
                    RD_KAFKA_CONF_OK) {
                        printf("refused: %s\n", text);
                        return 2;
                }
        }
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_log_cb(conf, on_log);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
        if (!rk) {
                printf("refused: %s\n", text);
                rd_kafka_conf_destroy(conf);
                return 2;
        }
        while (!stdin_has_ended()) {
                rd_kafka_poll(rk, 50);
                if (rd_kafka_metadata(rk, 1, NULL, &metadata, 50) == RD_KAFKA_RESP_ERR_NO_ERROR)
                        rd_kafka_metadata_destroy(metadata);
        }
        rd_kafka_destroy(rk);
        return 0;
}
