/* Creates one producer, lets it settle, and tells what the process then holds: threads, and
 * kilobytes of resident memory in all and without the pages of files. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static int is_settled;

/* The engine has made all its threads, and found that there is no broker. */
static void settled(rd_kafka_t *rk, int error, const char *reason, void *opaque) {
        (void)rk, (void)reason, (void)opaque;
        if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
                is_settled = 1;
}

static long field(const char *name) {
        char line[256];
        long value = -1;
        FILE *file = fopen("/proc/self/status", "r");

        while (file && fgets(line, sizeof(line), file))
                if (!strncmp(line, name, strlen(name)))
                        value = atol(line + strlen(name));
        if (file)
                fclose(file);
        return value;
}

int main(void) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char errstr[512];
        rd_kafka_t *rk = NULL;

        rd_kafka_conf_set_error_cb(conf, settled);
        if (rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", errstr, sizeof(errstr)) ||
            rd_kafka_conf_set(conf, "log_level", "0", errstr, sizeof(errstr)) ||
            !(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                fprintf(stderr, "idle: %s\n", errstr);
                return 1;
        }
        while (!is_settled)
                rd_kafka_poll(rk, 100);
        malloc_trim(0);
        printf("%ld %ld %ld\n", field("Threads:"), field("VmRSS:"), field("RssAnon:"));
        fflush(stdout);
        _exit(0);
}
