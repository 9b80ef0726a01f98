/* Sends one transaction that is committed and one that is aborted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define TIMEOUT_MS 60000

static unsigned delivered, failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk;
        (void)opaque;
        if (message->err)
                failed++;
        else
                delivered++;
}

static void usage(void) {
        fprintf(stderr, "usage: transactions -b BROKERS -t TOPIC [-n COUNT] [-X KEY=VALUE]...\n");
        exit(2);
}

static void fail(const char *what, const char *why) {
        fprintf(stderr, "transactions: %s: %s\n", what, why);
        exit(2);
}

/* Ends the program when a step of the transaction failed. */
static void step(const char *name, rd_kafka_error_t *error) {
        if (error) {
                printf("%s: %s\n", name, rd_kafka_error_name(error));
                fail(name, rd_kafka_error_string(error));
        }
        printf("%s: done\n", name);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char errstr[512];
        if (rd_kafka_conf_set(conf, key, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
                fail(key, errstr);
}

static void send_records(rd_kafka_t *rk, const char *topic, unsigned count) {
        unsigned i;
        for (i = 0; i < count; i++) {
                char value[64];
                int length = snprintf(value, sizeof(value), "transfer %u", i);
                rd_kafka_resp_err_t err =
                    rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
                                      RD_KAFKA_V_VALUE(value, (size_t)length),
                                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
                if (err)
                        fail("cannot produce", rd_kafka_err2str(err));
        }
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        const char *topic     = NULL;
        unsigned count        = 100;
        char errstr[512];
        rd_kafka_t *rk;
        int option;

        set(conf, "transactional.id", "transactions-example");
        while ((option = getopt(argc, argv, "b:t:n:X:")) != -1) {
                char *value;
                switch (option) {
                case 'b': set(conf, "bootstrap.servers", optarg); break;
                case 't': topic = optarg; break;
                case 'n': count = (unsigned)strtoul(optarg, NULL, 10); break;
                case 'X':
                        if (!(value = strchr(optarg, '=')))
                                usage();
                        *value++ = '\0';
                        set(conf, optarg, value);
                        break;
                default: usage();
                }
        }
        if (!topic || optind != argc)
                usage();
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                rd_kafka_conf_destroy(conf);
                fail("cannot create the producer", errstr);
        }

        step("init", rd_kafka_init_transactions(rk, TIMEOUT_MS));
        step("begin", rd_kafka_begin_transaction(rk));
        send_records(rk, topic, count);
        step("commit", rd_kafka_commit_transaction(rk, TIMEOUT_MS));
        printf("delivered %u, failed %u\n", delivered, failed);

        /* Flushed before the abort: otherwise it is a matter of time which records the abort
         * takes out of the queue. */
        step("begin", rd_kafka_begin_transaction(rk));
        send_records(rk, topic, count);
        rd_kafka_flush(rk, TIMEOUT_MS);
        step("abort", rd_kafka_abort_transaction(rk, TIMEOUT_MS));
        printf("delivered %u, failed %u\n", delivered, failed);

        rd_kafka_destroy(rk);
        return failed || delivered != 2 * count;
}
