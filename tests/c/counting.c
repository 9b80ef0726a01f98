/* An application that counts what it does itself, and prints that beside what librdkafka's
 * statistics and superstream_status() say, as one JSON document.
 *
 * usage: counting produce|batches|transact|consume|fetch BROKERS TOPIC RECORDS [PROPERTY=VALUE]...
 *        counting abandon TOPIC RECORDS
 *        counting timeouts
 *
 * `produce` takes turns between all ways to produce; `batches` takes rd_kafka_produce_batch alone;
 * `transact` commits a transaction, aborts one that was delivered, and aborts one that was not.
 * `consume` takes turns between the ways to consume as a group; `fetch` uses the old consumer.
 * `abandon` destroys a client whose records nobody took, after purging half of them. `timeouts` asks a
 * broker for metadata that comes too late. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define BATCH 10
#define NOWHERE 4711

static struct {
        long accepted, accepted_bytes, delivered, delivered_bytes, failed, refused, consumed,
            consumed_bytes, committed, committed_bytes;
} own;

static char *statistics;
static int in_group;
/* Requests that the engine has logged as timed out on their way. */
static atomic_long timed_out;

static void fail(const char *what) {
        fprintf(stderr, "counting: %s\n", what);
        exit(1);
}

static int keep(rd_kafka_t *rk, char *json, size_t size, void *opaque) {
        (void)rk, (void)opaque;
        free(statistics);
        statistics = strndup(json, size);
        return 0;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk, (void)opaque;
        if (message->err)
                own.failed++;
        else {
                own.delivered++;
                own.delivered_bytes += (long)(message->len + message->key_len);
        }
}

/* The statistics forget what was asked of a bootstrap broker once that is gone; the log does not. */
static void logged(const rd_kafka_t *rk, int level, const char *kind, const char *text) {
        const char *count = strstr(text, ": Timed out ");
        long in_flight;
        char rest[16];

        (void)rk, (void)level;
        if (!strcmp(kind, "REQTMOUT") && count &&
            sscanf(count, ": Timed out %ld %15s", &in_flight, rest) == 2 &&
            !strcmp(rest, "in-flight,"))
                atomic_fetch_add(&timed_out, in_flight);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *brokers, char **properties) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char errstr[512];
        rd_kafka_t *rk;

        rd_kafka_conf_set_stats_cb(conf, keep);
        if (type == RD_KAFKA_PRODUCER)
                rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        if (!*brokers)
                rd_kafka_conf_set_log_cb(conf, logged);
        else
                rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
        rd_kafka_conf_set(conf, "statistics.interval.ms", "100", NULL, 0);
        for (; properties && *properties; properties++) {
                char *name = strdup(*properties), *value = strchr(name, '=');

                *value++ = '\0';
                if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)))
                        fail(errstr);
                free(name);
        }
        rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));
        if (!rk)
                fail(errstr);
        return rk;
}

/* Values and keys of all sizes, and none of either. */
static size_t size_of_value(long number) {
        return number % 17 == 0 ? 0 : (size_t)(number * 7919 % 700);
}

static size_t size_of_key(long number) {
        return number % 5 == 0 ? 0 : (size_t)(number % 23);
}

static void took(size_t value, size_t key) {
        own.accepted++;
        own.accepted_bytes += (long)(value + key);
}

static void produce_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, long number) {
        static char bytes[1024];
        size_t value = size_of_value(number), key = size_of_key(number);
        void *payload = number % 17 == 0 ? NULL : bytes;

        memset(bytes, 'a' + number % 26, value);
        for (;;) {
                rd_kafka_resp_err_t err;

                if (number % 3)
                        err = rd_kafka_producev(
                            rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_VALUE(payload, value),
                            RD_KAFKA_V_KEY(bytes, key), RD_KAFKA_V_HEADER("trace", bytes, 16),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
                else
                        err = rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                               payload, value, bytes, key, NULL)
                                  ? rd_kafka_last_error()
                                  : RD_KAFKA_RESP_ERR_NO_ERROR;
                if (!err)
                        break;
                if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        fail(rd_kafka_err2str(err));
                rd_kafka_poll(rk, 10);
        }
        took(value, key);
}

static void produce_batch(rd_kafka_t *rk, rd_kafka_topic_t *topic, long number) {
        static char bytes[1024];
        rd_kafka_message_t messages[BATCH];
        int i, done;

        /* What the application need not fill in may be anything. */
        memset(messages, 0x5a, sizeof(messages));
        memset(bytes, 'a' + number / BATCH % 26, sizeof(bytes));
        for (i = 0; i < BATCH; i++) {
                messages[i].payload = (number + i) % 17 == 0 ? NULL : bytes;
                messages[i].len = size_of_value(number + i);
                messages[i].key = bytes;
                messages[i].key_len = size_of_key(number + i);
        }
        do
                done = rd_kafka_produce_batch(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                              messages, BATCH);
        while (!done && rd_kafka_poll(rk, 10) >= 0);
        for (i = 0; i < BATCH; i++)
                if (!messages[i].err)
                        took(messages[i].len, messages[i].key_len);
}

/* The application is told at once that there is no such partition. */
static void produce_refused(rd_kafka_topic_t *topic) {
        if (!rd_kafka_produce(topic, NOWHERE, RD_KAFKA_MSG_F_COPY, "value", 5, "key", 3, NULL))
                fail("a partition that is not there was taken");
        own.refused++;
}

static void consumed(const rd_kafka_message_t *message) {
        if (message->err)
                return;
        own.consumed++;
        own.consumed_bytes += (long)(message->len + message->key_len);
}

/* Serves a client for a moment. */
static void serve(rd_kafka_t *rk) {
        rd_kafka_message_t *message;

        if (!in_group)
                rd_kafka_poll(rk, 100);
        else if ((message = rd_kafka_consumer_poll(rk, 100))) {
                consumed(message);
                rd_kafka_message_destroy(message);
        }
}

static const char *status(rd_kafka_t *rk) {
        char *(*of)(const rd_kafka_t *) =
            (char *(*)(const rd_kafka_t *))dlsym(RTLD_DEFAULT, "superstream_status");

        return of ? of(rk) : "null";
}

/* By the clock of the statistics. */
static long long microseconds(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Statistics wait in a queue: those that are served next may be old. */
static int statistics_are_after(long long moment) {
        const char *taken = statistics ? strstr(statistics, "\"ts\":") : NULL;

        return taken && atoll(taken + strlen("\"ts\":")) > moment;
}

/* The statistics are taken between the two statuses. */
static void tell(rd_kafka_t *rk) {
        const char *before = status(rk);
        long long moment = microseconds();
        long timeouts;

        while (!statistics_are_after(moment))
                serve(rk);
        timeouts = atomic_load(&timed_out);
        printf("{\"accepted\":%ld,\"accepted_bytes\":%ld,\"delivered\":%ld,"
               "\"delivered_bytes\":%ld,\"failed\":%ld,\"refused\":%ld,\"consumed\":%ld,"
               "\"consumed_bytes\":%ld,\"committed\":%ld,\"committed_bytes\":%ld,"
               "\"timeouts\":%ld,"
               "\"before\":%s,\"statistics\":%s,\"status\":%s}\n",
               own.accepted, own.accepted_bytes, own.delivered, own.delivered_bytes, own.failed,
               own.refused, own.consumed, own.consumed_bytes, own.committed, own.committed_bytes,
               timeouts, before, statistics, status(rk));
        fflush(stdout);
}

static void produce_all(rd_kafka_t *rk, rd_kafka_topic_t *topic, long records, int batches) {
        long end = own.accepted + records;

        while (own.accepted < end) {
                if (batches || (own.accepted % 4 == 3 && end - own.accepted >= BATCH))
                        produce_batch(rk, topic, own.accepted);
                else
                        produce_one(rk, topic, own.accepted);
                rd_kafka_poll(rk, 0);
        }
}

static void flush(rd_kafka_t *rk) {
        if (rd_kafka_flush(rk, 60000))
                fail("not everything was delivered");
}

static void produce(char **arguments, int batches) {
        rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, arguments[0], arguments + 3);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, arguments[1], NULL);

        produce_all(rk, topic, atol(arguments[2]), batches);
        flush(rk);
        produce_refused(topic);
        tell(rk);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

static void succeed(rd_kafka_error_t *error) {
        if (error)
                fail(rd_kafka_error_string(error));
}

static void transact(char **arguments) {
        rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, arguments[0], arguments + 3);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, arguments[1], NULL);
        long third = atol(arguments[2]) / 3;

        succeed(rd_kafka_init_transactions(rk, 60000));
        succeed(rd_kafka_begin_transaction(rk));
        produce_all(rk, topic, third, 0);
        succeed(rd_kafka_commit_transaction(rk, 60000));
        own.committed = own.delivered;
        own.committed_bytes = own.delivered_bytes;

        succeed(rd_kafka_begin_transaction(rk));
        produce_all(rk, topic, third, 0);
        flush(rk);
        succeed(rd_kafka_abort_transaction(rk, 60000));

        /* What is still in the queue is purged. */
        succeed(rd_kafka_begin_transaction(rk));
        produce_all(rk, topic, third, 0);
        succeed(rd_kafka_abort_transaction(rk, 60000));
        while (own.delivered + own.failed < own.accepted)
                rd_kafka_poll(rk, 100);
        tell(rk);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

static void consumed_all(rd_kafka_message_t **messages, ssize_t count) {
        ssize_t i;

        for (i = 0; i < count; i++) {
                consumed(messages[i]);
                rd_kafka_message_destroy(messages[i]);
        }
}

static void consume(char **arguments) {
        rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, arguments[0], arguments + 3);
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_queue_t *queue;
        long records = atol(arguments[2]);

        rd_kafka_topic_partition_list_add(topics, arguments[1], RD_KAFKA_PARTITION_UA);
        rd_kafka_poll_set_consumer(rk);
        in_group = 1;
        if (rd_kafka_subscribe(rk, topics))
                fail("cannot subscribe");
        rd_kafka_topic_partition_list_destroy(topics);
        queue = rd_kafka_queue_get_consumer(rk);
        while (own.consumed < records / 2)
                serve(rk);
        while (own.consumed < records) {
                rd_kafka_message_t *messages[100];
                consumed_all(messages, rd_kafka_consume_batch_queue(queue, 1000, messages, 100));
        }
        tell(rk);
        rd_kafka_queue_destroy(queue);
        rd_kafka_consumer_close(rk);
        rd_kafka_destroy(rk);
}

static void fetch(char **arguments) {
        rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, arguments[0], arguments + 3);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, arguments[1], NULL);
        const struct rd_kafka_metadata *metadata;
        long records = atol(arguments[2]);
        int32_t partitions, partition;

        if (rd_kafka_metadata(rk, 0, topic, &metadata, 60000))
                fail("no metadata");
        partitions = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
        for (partition = 0; partition < partitions; partition++)
                if (rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_BEGINNING))
                        fail("cannot start");
        for (partition = 0; own.consumed < records; partition = (partition + 1) % partitions) {
                rd_kafka_message_t *messages[100];

                consumed_all(messages, rd_kafka_consume_batch(topic, partition, 10, messages, 100));
        }
        tell(rk);
        for (partition = 0; partition < partitions; partition++)
                rd_kafka_consume_stop(topic, partition);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

static void abandon(char **arguments) {
        /* Nobody listens there. */
        char *properties[] = {"log_level=0", NULL};
        rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, "127.0.0.1:1", properties);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, arguments[0], NULL);
        long records = atol(arguments[1]), half;

        for (half = 0; half < 2; half++) {
                while (own.accepted < records * (half + 1) / 2)
                        produce_one(rk, topic, own.accepted);
                if (!half) {
                        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE);
                        while (own.failed < own.accepted)
                                rd_kafka_poll(rk, 100);
                }
        }
        tell(rk);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

/* How long the broker takes, which is inside the client. */
static void answer_in(rd_kafka_t *rk, int milliseconds) {
        if (rd_kafka_mock_broker_set_rtt(rd_kafka_handle_mock_cluster(rk), 1, milliseconds))
                fail("the mock cluster cannot be slow");
}

static void timeouts(void) {
        char *properties[] = {"test.mock.num.brokers=1", "socket.timeout.ms=500", NULL};
        rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, "", properties);
        const struct rd_kafka_metadata *found;
        int number;

        if (rd_kafka_metadata(rk, 1, NULL, &found, 60000))
                fail("no metadata");
        rd_kafka_metadata_destroy(found);
        answer_in(rk, 2000);
        for (number = 0; number < 3; number++)
                if (!rd_kafka_metadata(rk, 1, NULL, &found, 1500))
                        fail("metadata came in time");
        answer_in(rk, 0);
        /* By then no request is on its way. */
        if (rd_kafka_metadata(rk, 1, NULL, &found, 60000))
                fail("no metadata");
        rd_kafka_metadata_destroy(found);
        tell(rk);
        rd_kafka_destroy(rk);
}

int main(int argc, char **argv) {
        if (argc >= 5 && !strcmp(argv[1], "produce"))
                produce(argv + 2, 0);
        else if (argc >= 5 && !strcmp(argv[1], "batches"))
                produce(argv + 2, 1);
        else if (argc >= 5 && !strcmp(argv[1], "transact"))
                transact(argv + 2);
        else if (argc >= 5 && !strcmp(argv[1], "fetch"))
                fetch(argv + 2);
        else if (argc >= 5 && !strcmp(argv[1], "consume"))
                consume(argv + 2);
        else if (argc == 4 && !strcmp(argv[1], "abandon"))
                abandon(argv + 2);
        else if (argc == 2 && !strcmp(argv[1], "timeouts"))
                timeouts();
        else
                fail("see the top of the source");
        return 0;
}
