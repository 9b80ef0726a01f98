/* An application that produces in its delivery reports, which it has the engine's background thread
 * serve: to a partition that is not there. Prints what became of it as one JSON document.
 *
 * usage: background TOPIC RECORDS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#define NOWHERE 4711

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static rd_kafka_topic_t *topic;
static long delivered, refused;

static void fail(const char *what) {
        fprintf(stderr, "background: %s\n", what);
        exit(1);
}

static void on_event(rd_kafka_t *rk, rd_kafka_event_t *event, void *opaque) {
        const rd_kafka_message_t *message;

        (void)rk, (void)opaque;
        pthread_mutex_lock(&lock);
        while ((message = rd_kafka_event_message_next(event))) {
                if (message->err)
                        fail(rd_kafka_message_errstr(message));
                delivered++;
                if (!rd_kafka_produce(topic, NOWHERE, RD_KAFKA_MSG_F_COPY, "value", 5, "key", 3,
                                      NULL))
                        fail("a partition that is not there was taken");
                refused++;
        }
        rd_kafka_event_destroy(event);
        pthread_cond_signal(&news);
        pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_queue_t *events, *background;
        char errstr[512];
        rd_kafka_t *rk;
        long number, records;

        if (argc != 3)
                fail("see the top of the source");
        records = atol(argv[2]);
        /* The broker is inside the client, which would say so. */
        if (rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", errstr, sizeof(errstr)) ||
            rd_kafka_conf_set(conf, "log_level", "0", errstr, sizeof(errstr)))
                fail(errstr);
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
        rd_kafka_conf_set_background_event_cb(conf, on_event);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail(errstr);
        topic = rd_kafka_topic_new(rk, argv[1], NULL);
        events = rd_kafka_queue_get_main(rk);
        background = rd_kafka_queue_get_background(rk);
        rd_kafka_queue_forward(events, background);
        for (number = 0; number < records; number++)
                if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, "value", 5,
                                     "key", 3, NULL))
                        fail("the client does not produce");
        pthread_mutex_lock(&lock);
        while (delivered < records)
                pthread_cond_wait(&news, &lock);
        printf("{\"delivered\":%ld,\"refused\":%ld}\n", delivered, refused);
        fflush(stdout);
        pthread_mutex_unlock(&lock);
        rd_kafka_queue_destroy(background);
        rd_kafka_queue_destroy(events);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
        return 0;
}
