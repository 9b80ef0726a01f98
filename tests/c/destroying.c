/* An application that destroys clients while they work, and prints what it knows of them: what it
 * did, what its callbacks were told, and what its own interceptors saw, which see the end too.
 *
 * usage: destroying HOW BROKERS TOPIC RECORDS
 *
 * `loaded` destroys a producer whose records are in its queue and on their way; `immediate` does so
 * without waiting; `elsewhere` on a thread of another client's engine; `purge` purges them all first.
 * `churn` makes so many clients, with seven records each, and destroys each at once.
 * `consume` destroys a consumer that has more records to give. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#define THREADS 4
#define OF_EACH 7
/* Not in rdkafka.h. */
#define DESTROY_F_IMMEDIATE 0x4

struct sum {
        atomic_long records, bytes;
};

/* By produce, by callbacks, by interceptors. */
static struct sum accepted, told_delivered, told_failed, seen_sent, seen_delivered, seen_failed,
    consumed;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static int threads_of_engine;
static rd_kafka_t *to_be_destroyed;

static const char *topic;
static long records_of_thread;

static void fail(const char *what) {
        fprintf(stderr, "destroying: %s\n", what);
        exit(1);
}

static void add(struct sum *sum, size_t value, size_t key) {
        atomic_fetch_add(&sum->records, 1);
        atomic_fetch_add(&sum->bytes, (long)(value + key));
}

static void add_message(struct sum *delivered, struct sum *failed,
                        const rd_kafka_message_t *message) {
        add(message->err ? failed : delivered, message->len, message->key_len);
}

static rd_kafka_resp_err_t on_send(rd_kafka_t *rk, rd_kafka_message_t *message, void *opaque) {
        (void)rk, (void)opaque;
        add(&seen_sent, message->len, message->key_len);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_acknowledgement(rd_kafka_t *rk, rd_kafka_message_t *message,
                                              void *opaque) {
        (void)rk, (void)opaque;
        add_message(&seen_delivered, &seen_failed, message);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t count_threads(int more) {
        pthread_mutex_lock(&lock);
        threads_of_engine += more;
        pthread_cond_signal(&news);
        pthread_mutex_unlock(&lock);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_thread_start(rd_kafka_t *rk, rd_kafka_thread_type_t type,
                                           const char *name, void *opaque) {
        (void)rk, (void)type, (void)name, (void)opaque;
        return count_threads(1);
}

static rd_kafka_resp_err_t on_thread_exit(rd_kafka_t *rk, rd_kafka_thread_type_t type,
                                          const char *name, void *opaque) {
        (void)rk, (void)type, (void)name, (void)opaque;
        return count_threads(-1);
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *errstr, size_t errstr_size) {
        (void)conf, (void)opaque, (void)errstr, (void)errstr_size;
        rd_kafka_interceptor_add_on_send(rk, "own", on_send, NULL);
        rd_kafka_interceptor_add_on_acknowledgement(rk, "own", on_acknowledgement, NULL);
        rd_kafka_interceptor_add_on_thread_start(rk, "own", on_thread_start, NULL);
        rd_kafka_interceptor_add_on_thread_exit(rk, "own", on_thread_exit, NULL);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk, (void)opaque;
        add_message(&told_delivered, &told_failed, message);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
        char errstr[512];

        if (rd_kafka_conf_set(conf, name, value, errstr, sizeof(errstr)))
                fail(errstr);
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
        char errstr[512];
        rd_kafka_t *rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));

        if (!rk)
                fail(errstr);
        return rk;
}

/* Full batches are sent at once, and what is left over is never old enough. */
static rd_kafka_t *producer(const char *brokers) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();

        rd_kafka_conf_interceptor_add_on_new(conf, "own", on_new, NULL);
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
        set(conf, "bootstrap.servers", brokers);
        set(conf, "batch.num.messages", "100");
        set(conf, "linger.ms", "100000");
        set(conf, "log_level", "0");
        return client(RD_KAFKA_PRODUCER, conf);
}

static void produce(rd_kafka_t *rk, long number) {
        static char bytes[1024];
        size_t value = (size_t)(number * 7919 % 700), key = (size_t)(number % 23);
        rd_kafka_resp_err_t err;

        while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(bytes, value),
                                        RD_KAFKA_V_KEY(bytes, key),
                                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)))
                if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        fail(rd_kafka_err2str(err));
                else
                        rd_kafka_poll(rk, 1);
        add(&accepted, value, key);
}

static void *produce_some(void *rk) {
        long number;

        for (number = 0; number < records_of_thread; number++)
                produce(rk, number);
        return NULL;
}

/* By several threads at a time, until some of it has come back. */
static void load(rd_kafka_t *rk) {
        pthread_t threads[THREADS];
        int i;

        for (i = 0; i < THREADS; i++)
                pthread_create(&threads[i], NULL, produce_some, rk);
        while (!told_delivered.records)
                rd_kafka_poll(rk, 100);
        for (i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
}

static void destroy_immediately(rd_kafka_t *rk) {
        rd_kafka_destroy_flags(rk, DESTROY_F_IMMEDIATE);
        pthread_mutex_lock(&lock);
        while (threads_of_engine)
                pthread_cond_wait(&news, &lock);
        pthread_mutex_unlock(&lock);
}

static void destroy_in_background(rd_kafka_t *rk, rd_kafka_event_t *event, void *opaque) {
        (void)rk, (void)opaque;
        rd_kafka_event_destroy(event);
        pthread_mutex_lock(&lock);
        rk = to_be_destroyed;
        pthread_mutex_unlock(&lock);
        if (!rk)
                return;
        /* Its threads count themselves under the lock. */
        rd_kafka_destroy(rk);
        pthread_mutex_lock(&lock);
        to_be_destroyed = NULL;
        pthread_cond_signal(&news);
        pthread_mutex_unlock(&lock);
}

static void destroy_elsewhere(rd_kafka_t *rk, const char *brokers) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_queue_t *events, *background;
        rd_kafka_t *other;

        set(conf, "bootstrap.servers", brokers);
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        rd_kafka_conf_set_background_event_cb(conf, destroy_in_background);
        other = client(RD_KAFKA_PRODUCER, conf);
        events = rd_kafka_queue_get_main(other);
        background = rd_kafka_queue_get_background(other);
        rd_kafka_queue_forward(events, background);
        to_be_destroyed = rk;
        if (rd_kafka_producev(other, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE("value", 5),
                              RD_KAFKA_V_END))
                fail("the other client does not produce");
        pthread_mutex_lock(&lock);
        while (to_be_destroyed)
                pthread_cond_wait(&news, &lock);
        pthread_mutex_unlock(&lock);
        rd_kafka_queue_destroy(background);
        rd_kafka_queue_destroy(events);
        rd_kafka_destroy(other);
}

static void purge(rd_kafka_t *rk) {
        rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        if (rd_kafka_flush(rk, 60000))
                fail("not everything was purged");
        rd_kafka_destroy(rk);
}

static void churn(const char *brokers, long clients) {
        while (clients--) {
                rd_kafka_t *rk = producer(brokers);
                long number;

                for (number = 0; number < OF_EACH; number++)
                        produce(rk, clients + number);
                rd_kafka_destroy(rk);
        }
}

static void consume(const char *brokers, long records) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_message_t *message;
        rd_kafka_t *rk;

        set(conf, "bootstrap.servers", brokers);
        set(conf, "group.id", "destroying");
        set(conf, "auto.offset.reset", "earliest");
        rk = client(RD_KAFKA_CONSUMER, conf);
        rd_kafka_poll_set_consumer(rk);
        rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
        if (rd_kafka_subscribe(rk, topics))
                fail("cannot subscribe");
        rd_kafka_topic_partition_list_destroy(topics);
        while (consumed.records < records) {
                if (!(message = rd_kafka_consumer_poll(rk, 100)))
                        continue;
                if (!message->err)
                        add(&consumed, message->len, message->key_len);
                rd_kafka_message_destroy(message);
        }
        rd_kafka_destroy(rk);
}

static void tell(const char *name, const struct sum *sum, const char *after) {
        printf("\"%s\":{\"records\":%ld,\"bytes\":%ld}%s", name, sum->records, sum->bytes, after);
}

int main(int argc, char **argv) {
        const char *how = argv[1], *brokers = argv[2];
        rd_kafka_t *rk;

        if (argc != 5)
                fail("see the top of the source");
        topic = argv[3];
        records_of_thread = atol(argv[4]) / THREADS;
        if (!strcmp(how, "churn"))
                churn(brokers, atol(argv[4]));
        else if (!strcmp(how, "consume"))
                consume(brokers, atol(argv[4]));
        else {
                rk = producer(brokers);
                load(rk);
                if (!strcmp(how, "loaded"))
                        rd_kafka_destroy(rk);
                else if (!strcmp(how, "immediate"))
                        destroy_immediately(rk);
                else if (!strcmp(how, "elsewhere"))
                        destroy_elsewhere(rk, brokers);
                else if (!strcmp(how, "purge"))
                        purge(rk);
                else
                        fail("see the top of the source");
        }
        printf("{");
        tell("accepted", &accepted, ",");
        tell("told_delivered", &told_delivered, ",");
        tell("told_failed", &told_failed, ",");
        tell("seen_sent", &seen_sent, ",");
        tell("seen_delivered", &seen_delivered, ",");
        tell("seen_failed", &seen_failed, ",");
        tell("consumed", &consumed, "}\n");
        return 0;
}
