/* Uses a librdkafka as .NET, JNA and LuaJIT do: opened locally, each function by its name.
 *   hooks_binding ENGINE [fork | threads COUNT]
 * Prints a line for each producer that it made and used. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

static void *engine;
static pthread_barrier_t start;

static void *function(const char *name) {
        void *found = dlsym(engine, name);

        if (!found) {
                printf("%s\n", dlerror());
                exit(1);
        }
        return found;
}

#define FIND(name) __typeof__(&name) my_##name = (__typeof__(&name))function(#name)

/* A producer, a topic and a record that is delivered to a broker inside librdkafka. */
static void produce(void) {
        FIND(rd_kafka_version_str);
        FIND(rd_kafka_conf_new);
        FIND(rd_kafka_conf_set);
        FIND(rd_kafka_conf_get);
        FIND(rd_kafka_new);
        FIND(rd_kafka_conf);
        FIND(rd_kafka_topic_new);
        FIND(rd_kafka_produce);
        FIND(rd_kafka_flush);
        FIND(rd_kafka_topic_destroy);
        FIND(rd_kafka_destroy);
        rd_kafka_conf_t *conf = my_rd_kafka_conf_new();
        char errstr[512], linger[64];
        size_t size = sizeof(linger);
        int produced, flushed;
        rd_kafka_t *rk = NULL;
        rd_kafka_topic_t *topic;

        if (my_rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", errstr, sizeof(errstr)) !=
                RD_KAFKA_CONF_OK ||
            !(rk = my_rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                printf("%s\n", errstr);
                exit(1);
        }
        my_rd_kafka_conf_get(my_rd_kafka_conf(rk), "linger.ms", linger, &size);
        topic = my_rd_kafka_topic_new(rk, "orders", NULL);
        produced = my_rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, "hi", 2,
                                       NULL, 0, NULL);
        flushed = my_rd_kafka_flush(rk, 60 * 1000);
        printf("%s: linger.ms %s, produced %d, flushed %d\n", my_rd_kafka_version_str(), linger,
               produced, flushed);
        fflush(stdout);
        my_rd_kafka_topic_destroy(topic);
        my_rd_kafka_destroy(rk);
}

/* All threads ask for their first function at once. */
static void *thread(void *unused) {
        (void)unused;
        pthread_barrier_wait(&start);
        produce();
        return NULL;
}

int main(int argc, char **argv) {
        const char *how = argc > 2 ? argv[2] : "";
        int status = 0;

        engine = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!engine) {
                printf("%s\n", dlerror());
                return 1;
        }
        if (!strcmp(how, "threads")) {
                pthread_t threads[64];
                int count = atoi(argv[3]), i;

                pthread_barrier_init(&start, NULL, count);
                for (i = 0; i < count; i++)
                        pthread_create(&threads[i], NULL, thread, NULL);
                for (i = 0; i < count; i++)
                        pthread_join(threads[i], NULL);
                return 0;
        }
        produce();
        if (!strcmp(how, "fork")) {
                pid_t child = fork();

                if (!child) {
                        produce();
                        _exit(0);
                }
                waitpid(child, &status, 0);
                produce();
        }
        return status;
}
