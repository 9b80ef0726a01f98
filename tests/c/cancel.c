/* Cancels a thread while it creates a client: rd_kafka_new() waits for the engine's threads, and
 * whoever waits may be cancelled. Prints what became of the thread; the process lives on. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static int gate[2];

static void *create(void *unused) {
        char errstr[512], byte;
        int before;
        (void)unused;

        /* The cancellation is pending before the call begins, so it takes effect inside. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        if (read(gate[0], &byte, 1) != 1)
                return NULL;
        pthread_setcancelstate(before, NULL);
        rd_kafka_new(RD_KAFKA_PRODUCER, NULL, errstr, sizeof(errstr));
        pthread_testcancel();
        return NULL;
}

int main(void) {
        pthread_t thread;
        void *result;

        if (pipe(gate) || pthread_create(&thread, NULL, create, NULL))
                return 2;
        pthread_cancel(thread);
        if (write(gate[1], "x", 1) != 1)
                return 2;
        pthread_join(thread, &result);
        printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "ran to its end");
        return 0;
}
