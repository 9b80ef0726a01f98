/* Creations that fail once the engine has begun, on two threads: with their memory in two places. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* At a fixed address this gives the program an entry of its own for malloc. */
void *(*volatile allocate)(size_t) = malloc;

static void *fail(void *unused) {
        char errstr[512];
        rd_kafka_conf_t *conf = rd_kafka_conf_new();

        rd_kafka_conf_set(conf, "security.protocol", "sasl_plaintext", NULL, 0);
        rd_kafka_conf_set(conf, "sasl.mechanism", "NOPE", NULL, 0);
        if (!rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))
                printf("failed\n");
        rd_kafka_conf_destroy(conf);
        return unused;
}

int main(void) {
        pthread_t thread;

        fail(NULL);
        pthread_create(&thread, NULL, fail, NULL);
        pthread_join(thread, NULL);
        return 0;
}
