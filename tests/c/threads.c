/* An application under load for ThreadSanitizer. Each round it creates a producer and a consumer,
 * produces on several threads while others poll, consume and ask for the status, and destroys both
 * in the middle of it, each round in another way.
 *
 * usage: threads BROKERS ROUNDS
 *        threads LIBRARY       calls race() of a library on two threads: that is to be found */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

/* The engine knows it, and its header does not name it. */
#define RD_KAFKA_DESTROY_F_IMMEDIATE 0x4
#define PRODUCING_THREADS 3
#define RECORDS 1000

enum end { FLUSHED, WITH_RECORDS, IMMEDIATELY, BY_AN_ENGINE_THREAD, ENDS };

static const char *brokers;
static rd_kafka_t *producer, *consumer;
static atomic_long delivered, consumed, is_over;
static rd_kafka_t *_Atomic to_be_destroyed;
static char *(*status_of)(const rd_kafka_t *);

static void fail(const char *what) {
        fprintf(stderr, "threads: %s\n", what);
        exit(1);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk, (void)opaque;
        if (!message->err)
                atomic_fetch_add(&delivered, 1);
}

/* Runs on a thread of the engine's: the destroyer's, which is another client. */
static void on_background_event(rd_kafka_t *rk, rd_kafka_event_t *event, void *opaque) {
        rd_kafka_t *other = atomic_exchange(&to_be_destroyed, NULL);

        (void)rk, (void)opaque;
        if (other)
                rd_kafka_destroy(other);
        rd_kafka_event_destroy(event);
}

static rd_kafka_t *create(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
        char errstr[512];
        rd_kafka_t *rk;

        rd_kafka_conf_set(conf, "bootstrap.servers", brokers, NULL, 0);
        rk = rd_kafka_new(type, conf, errstr, sizeof(errstr));
        if (!rk)
                fail(errstr);
        return rk;
}

static void create_both(int round) {
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char group[32];

        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        producer = create(RD_KAFKA_PRODUCER, conf);
        snprintf(group, sizeof(group), "group-%d", round);
        conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
        rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", NULL, 0);
        consumer = create(RD_KAFKA_CONSUMER, conf);
        rd_kafka_topic_partition_list_add(topics, "orders", RD_KAFKA_PARTITION_UA);
        if (rd_kafka_subscribe(consumer, topics))
                fail("subscribe");
        rd_kafka_topic_partition_list_destroy(topics);
}

static void *produce(void *topic) {
        while (!atomic_load(&is_over))
                if (rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
                                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                      RD_KAFKA_V_VALUE("value", 5), RD_KAFKA_V_END))
                        rd_kafka_poll(producer, 1);
        return NULL;
}

static void *poll(void *nothing) {
        while (!atomic_load(&is_over))
                rd_kafka_poll(producer, 10);
        return nothing;
}

static void *consume(void *nothing) {
        while (!atomic_load(&is_over)) {
                rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 10);

                if (message && !message->err)
                        atomic_fetch_add(&consumed, 1);
                if (message)
                        rd_kafka_message_destroy(message);
        }
        return nothing;
}

static void *ask(void *nothing) {
        while (!atomic_load(&is_over)) {
                free(status_of(producer));
                free(status_of(consumer));
        }
        return nothing;
}

/* The destroyer's own record comes back on its background thread. */
static void destroy_by_engine_thread(rd_kafka_t *rk) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_queue_t *main_queue, *background;
        rd_kafka_t *destroyer;

        rd_kafka_conf_set_background_event_cb(conf, on_background_event);
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        destroyer = create(RD_KAFKA_PRODUCER, conf);
        main_queue = rd_kafka_queue_get_main(destroyer);
        background = rd_kafka_queue_get_background(destroyer);
        rd_kafka_queue_forward(main_queue, background);
        rd_kafka_queue_destroy(main_queue);
        rd_kafka_queue_destroy(background);
        atomic_store(&to_be_destroyed, rk);
        rd_kafka_producev(destroyer, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_VALUE("value", 5),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        while (atomic_load(&to_be_destroyed))
                rd_kafka_flush(destroyer, 100);
        rd_kafka_destroy(destroyer);
}

static void destroy(rd_kafka_t *rk, enum end end) {
        switch (end) {
        case IMMEDIATELY: rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_IMMEDIATE); break;
        case BY_AN_ENGINE_THREAD: destroy_by_engine_thread(rk); break;
        default: rd_kafka_destroy(rk);
        }
}

static void one_round(int round) {
        static char *const topics[] = {"orders", "payments", "orders"};
        pthread_t threads[PRODUCING_THREADS + 3];
        enum end end = (enum end)(round % ENDS);
        size_t i, count = 0;

        delivered = consumed = is_over = 0;
        create_both(round);
        for (i = 0; i < PRODUCING_THREADS; i++)
                pthread_create(&threads[count++], NULL, produce, topics[i]);
        pthread_create(&threads[count++], NULL, poll, NULL);
        pthread_create(&threads[count++], NULL, consume, NULL);
        pthread_create(&threads[count++], NULL, ask, NULL);
        while (delivered < RECORDS || consumed < RECORDS)
                rd_kafka_poll(producer, 1);
        is_over = 1;
        for (i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
        if (end == FLUSHED && rd_kafka_flush(producer, 60 * 1000))
                fail("not all was delivered");
        destroy(producer, end);
        destroy(consumer, end);
}

static void *call(void *race) {
        (*(void (**)(void))race)();
        return NULL;
}

static void race_in(const char *library) {
        void *handle = dlopen(library, RTLD_NOW);
        void (*race)(void);
        pthread_t threads[2];

        *(void **)&race = handle ? dlsym(handle, "race") : NULL;
        if (!race)
                fail(dlerror());
        pthread_create(&threads[0], NULL, call, &race);
        pthread_create(&threads[1], NULL, call, &race);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
}

int main(int argc, char **argv) {
        int round;

        if (argc == 2) {
                race_in(argv[1]);
                return 0;
        }
        if (argc != 3)
                fail("usage: threads BROKERS ROUNDS");
        brokers = argv[1];
        *(void **)&status_of = dlsym(RTLD_DEFAULT, "superstream_status");
        if (!status_of)
                fail("Superstream is not there");
        for (round = 0; round < atoi(argv[2]); round++)
                one_round(round);
        puts("done");
        return 0;
}
