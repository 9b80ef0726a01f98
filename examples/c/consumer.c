/* Consumes a number of records from the beginning of a topic, and prints how many there were
 * and a checksum of their keys and values that does not depend on the order of the partitions.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static void fail(const char *what, const char *why) {
        fprintf(stderr, "consumer: %s: %s\n", what, why);
        exit(2);
}

static void usage(void) {
        fprintf(stderr, "usage: consumer -b BROKERS -t TOPIC -n COUNT [-g GROUP]\n"
                        "                [-w SECONDS_WITHOUT_A_RECORD] [-X KEY=VALUE]...\n");
        exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char errstr[512];
        if (rd_kafka_conf_set(conf, key, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
                fail(key, errstr);
}

/* FNV-1a over the length and the bytes; a missing key differs from an empty one. */
static uint64_t fnv(uint64_t hash, const void *data, size_t length) {
        const unsigned char *bytes = data;
        uint64_t announced         = data ? length : UINT64_MAX;
        size_t i;

        for (i = 0; i < sizeof(announced); i++)
                hash = (hash ^ (announced >> (8 * i) & 0xff)) * 1099511628211ULL;
        for (i = 0; data && i < length; i++)
                hash = (hash ^ bytes[i]) * 1099511628211ULL;
        return hash;
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf    = rd_kafka_conf_new();
        const char *group        = "consumer-example";
        const char *topic        = NULL;
        unsigned long long count = 0, consumed = 0, bytes = 0;
        uint64_t checksum  = 0;
        int patience       = 60;
        int status         = 0;
        rd_kafka_topic_partition_list_t *topics;
        rd_kafka_resp_err_t err;
        rd_kafka_t *rk;
        char errstr[512];
        int option;

        set(conf, "auto.offset.reset", "earliest");
        while ((option = getopt(argc, argv, "b:t:n:g:w:X:")) != -1) {
                char *value;
                switch (option) {
                case 'b': set(conf, "bootstrap.servers", optarg); break;
                case 't': topic = optarg; break;
                case 'n': count = strtoull(optarg, NULL, 10); break;
                case 'g': group = optarg; break;
                case 'w': patience = atoi(optarg); break;
                case 'X':
                        if (!(value = strchr(optarg, '=')))
                                usage();
                        *value++ = '\0';
                        set(conf, optarg, value);
                        break;
                default: usage();
                }
        }
        if (!topic || !count || optind != argc)
                usage();
        set(conf, "group.id", group);

        if (!(rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, errstr, sizeof(errstr)))) {
                rd_kafka_conf_destroy(conf);
                fail("cannot create the consumer", errstr);
        }
        rd_kafka_poll_set_consumer(rk);
        topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
        if ((err = rd_kafka_subscribe(rk, topics)))
                fail("cannot subscribe", rd_kafka_err2str(err));
        rd_kafka_topic_partition_list_destroy(topics);

        while (consumed < count) {
                rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, patience * 1000);
                if (!message) {
                        fprintf(stderr, "consumer: no record within %d seconds\n", patience);
                        status = 1;
                        break;
                }
                if (message->err) {
                        fprintf(stderr, "consumer: %s\n", rd_kafka_message_errstr(message));
                } else {
                        uint64_t hash = 14695981039346656037ULL;
                        hash          = fnv(hash, message->key, message->key_len);
                        checksum += fnv(hash, message->payload, message->len);
                        bytes += message->len;
                        consumed++;
                }
                rd_kafka_message_destroy(message);
        }

        printf("consumed %llu records of %llu bytes from %s\n", consumed, bytes, topic);
        printf("checksum %016" PRIx64 "\n", checksum);
        if ((err = rd_kafka_consumer_close(rk)))
                fail("cannot close the consumer", rd_kafka_err2str(err));
        rd_kafka_destroy(rk);
        return status;
}
