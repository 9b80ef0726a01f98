/* Hands records to a producer that reaches no broker. The work to be counted is in
 * produce_all(), which callgrind is told to watch; what happens only once comes before it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define RECORD_SIZE 260
#define WARM_UP 2000

static rd_kafka_t *producer;
static char record[RECORD_SIZE];

static void fail(const char *what, const char *why) {
        fprintf(stderr, "produce: %s: %s\n", what, why);
        exit(1);
}

static void produce(int count) {
        rd_kafka_resp_err_t error;

        while (count-- > 0) {
                error = rd_kafka_producev(
                        producer, RD_KAFKA_V_TOPIC("orders"),
                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                        RD_KAFKA_V_VALUE(record, sizeof(record)), RD_KAFKA_V_END);
                if (error)
                        fail("producev", rd_kafka_err2str(error));
        }
}

__attribute__((noinline, noclone)) void produce_all(int count) {
        produce(count);
}

/* What the drop-in has to say about the producer; the stock library has nothing. */
static void print_status(void) {
        char *(*status)(const rd_kafka_t *);
        char *text;

        *(void **)&status = dlsym(RTLD_DEFAULT, "superstream_status");
        text = status ? status(producer) : NULL;
        puts(text ? text : "{}");
}

int main(int argc, char **argv) {
        const char *const settings[][2] = {
                {"bootstrap.servers", "127.0.0.1:1"},
                {"queue.buffering.max.messages", "1000000"},
                {"queue.buffering.max.kbytes", "1000000"},
                {"log_level", "0"},
        };
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char errstr[512];
        size_t i;

        if (argc != 2)
                fail("usage", "produce RECORDS");
        for (i = 0; i < sizeof(settings) / sizeof(*settings); i++)
                if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], errstr,
                                      sizeof(errstr)))
                        fail(settings[i][0], errstr);
        producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!producer)
                fail("rd_kafka_new", errstr);
        memset(record, 'x', sizeof(record));
        produce(WARM_UP);
        produce_all(atoi(argv[1]));
        print_status();
        fflush(stdout);
        /* Nothing can be delivered: waiting for it in rd_kafka_destroy() is no use. */
        _exit(0);
}
