/* Records with and without the header of payload reduction, and what an application sees of them.
 *
 * usage: schema produce BROKERS TOPIC RECORDS all|late|other
 *        schema consume BROKERS TOPIC RECORDS poll|batch|old
 *
 * `produce` fills partition 0 with records of all sizes and headers. `all` of them have the header, the
 * second half has (`late`), or none has but headers that look like it (`other`). `consume` reads that
 * partition, and prints one number over everything that librdkafka gives away of each record, and what
 * superstream_status() says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

static uint64_t seen = 14695981039346656037ULL;
static long consumed;

static void fail(const char *what) {
        fprintf(stderr, "schema: %s\n", what);
        exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
        char errstr[512];

        if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)))
                fail(errstr);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char errstr[512];
        rd_kafka_t *rk;

        set(conf, "bootstrap.servers", brokers);
        if (type == RD_KAFKA_CONSUMER) {
                set(conf, "group.id", "schema");
                set(conf, "enable.auto.commit", "false");
        }
        rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));
        if (!rk)
                fail(errstr);
        return rk;
}

static rd_kafka_headers_t *headers_of(long number, long records, const char *which) {
        static const char binary[] = {0, 1, 2, 0, 3};
        rd_kafka_headers_t *headers = rd_kafka_headers_new(4);

        if (number % 3 == 0)
                rd_kafka_header_add(headers, "trace", -1, binary, (ssize_t)(number % 5));
        if (number % 4 == 0)
                rd_kafka_header_add(headers, "nothing", -1, NULL, 0);
        if (!strcmp(which, "other")) {
                rd_kafka_header_add(headers, "superstream_schemas", -1, "7", 1);
                rd_kafka_header_add(headers, "Superstream_Schema", -1, "7", 1);
        } else if (!strcmp(which, "all") || number >= records / 2) {
                rd_kafka_header_add(headers, "superstream_schema", -1,
                                    number % 7 ? "7" : NULL, number % 7 ? 1 : 0);
                if (number % 11 == 0)
                        rd_kafka_header_add(headers, "superstream_schema", -1, "8", 1);
        }
        /* Behind it, it is still found. */
        if (number % 2)
                rd_kafka_header_add(headers, "trace", -1, "again", -1);
        return headers;
}

static void produce(char **arguments) {
        rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, arguments[0]);
        long number, records = atol(arguments[2]);

        for (number = 0; number < records; number++) {
                static char bytes[1024];
                size_t value = number % 13 ? (size_t)(number * 7919 % 700) : 0;
                void *payload = number % 17 ? bytes : NULL;
                rd_kafka_headers_t *headers = headers_of(number, records, arguments[3]);
                rd_kafka_resp_err_t err;

                memset(bytes, 'a' + number % 26, sizeof(bytes));
                while ((err = rd_kafka_producev(
                            rk, RD_KAFKA_V_TOPIC(arguments[1]), RD_KAFKA_V_PARTITION(0),
                            RD_KAFKA_V_VALUE(payload, payload ? value : 0),
                            RD_KAFKA_V_KEY(bytes, (size_t)(number % 23)),
                            RD_KAFKA_V_HEADERS(headers),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
                       RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        rd_kafka_poll(rk, 10);
                if (err)
                        fail(rd_kafka_err2str(err));
        }
        if (rd_kafka_flush(rk, 60000))
                fail("not everything was delivered");
        rd_kafka_destroy(rk);
}

/* FNV-1a over a number, and over bytes and how many they are. */
static void see_number(int64_t number) {
        int place;

        for (place = 0; place < 64; place += 8)
                seen = (seen ^ ((uint64_t)number >> place & 0xff)) * 1099511628211ULL;
}

static void see(const void *bytes, size_t size) {
        const unsigned char *byte = bytes, *end = byte ? byte + size : byte;

        see_number(bytes ? (int64_t)size : -1 - (int64_t)size);
        for (; byte < end; byte++)
                seen = (seen ^ *byte) * 1099511628211ULL;
}

static void see_headers(const rd_kafka_headers_t *headers) {
        const char *name;
        const void *value;
        size_t place, size;

        for (place = 0; !rd_kafka_header_get_all(headers, place, &name, &value, &size); place++) {
                see(name, strlen(name));
                see(value, size);
        }
        see_number((int64_t)place);
}

/* Everything, in all the ways in which an application may ask for headers. */
static void see_record(rd_kafka_message_t *message) {
        rd_kafka_headers_t *headers = NULL;
        rd_kafka_resp_err_t err;

        see_number(message->partition);
        see_number(message->offset);
        see(message->payload, message->len);
        see(message->key, message->key_len);
        if (message->offset % 2) {
                err = rd_kafka_message_headers(message, &headers);
                see_number(err);
                if (!err)
                        see_headers(headers);
        }
        if (message->offset % 3) {
                err = rd_kafka_message_detach_headers(message, &headers);
                see_number(err);
                if (!err) {
                        see_headers(headers);
                        rd_kafka_headers_destroy(headers);
                }
                err = rd_kafka_message_headers(message, &headers);
                see_number(err);
                if (!err)
                        see_headers(headers);
        }
        consumed++;
}

static void take(rd_kafka_message_t *message) {
        if (!message)
                return;
        if (!message->err)
                see_record(message);
        rd_kafka_message_destroy(message);
}

static void tell(rd_kafka_t *rk) {
        char *(*status)(const rd_kafka_t *) =
            (char *(*)(const rd_kafka_t *))dlsym(RTLD_DEFAULT, "superstream_status");

        printf("{\"consumed\":%ld,\"seen\":\"%" PRIx64 "\",\"status\":%s}\n", consumed, seen,
               status ? status(rk) : "null");
        fflush(stdout);
}

static void consume(char **arguments) {
        rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, arguments[0]);
        long records = atol(arguments[2]);
        const char *how = arguments[3];

        if (!strcmp(how, "old")) {
                rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, arguments[1], NULL);

                if (rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING))
                        fail("cannot start");
                while (consumed < records)
                        take(rd_kafka_consume(topic, 0, 100));
                tell(rk);
                rd_kafka_consume_stop(topic, 0);
                rd_kafka_topic_destroy(topic);
        } else {
                rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
                rd_kafka_queue_t *queue;

                rd_kafka_topic_partition_list_add(list, arguments[1], 0)->offset =
                    RD_KAFKA_OFFSET_BEGINNING;
                rd_kafka_poll_set_consumer(rk);
                if (rd_kafka_assign(rk, list))
                        fail("cannot assign");
                rd_kafka_topic_partition_list_destroy(list);
                queue = rd_kafka_queue_get_consumer(rk);
                while (consumed < records) {
                        rd_kafka_message_t *messages[100];
                        ssize_t count, place;

                        if (!strcmp(how, "poll")) {
                                take(rd_kafka_consumer_poll(rk, 100));
                                continue;
                        }
                        count = rd_kafka_consume_batch_queue(queue, 100, messages, 100);
                        for (place = 0; place < count; place++)
                                take(messages[place]);
                }
                tell(rk);
                rd_kafka_queue_destroy(queue);
                rd_kafka_consumer_close(rk);
        }
        rd_kafka_destroy(rk);
}

int main(int argc, char **argv) {
        if (argc == 6 && !strcmp(argv[1], "produce"))
                produce(argv + 2);
        else if (argc == 6 && !strcmp(argv[1], "consume"))
                consume(argv + 2);
        else
                fail("usage: schema produce|consume BROKERS TOPIC RECORDS HOW");
        return 0;
}
