/* Names the plugin on a thread that is to be cancelled: at the next chance, which comes later. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>

static const char *plugin;

static void *name_it(void *unused) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        int result;

        pthread_cancel(pthread_self());
        result = rd_kafka_conf_set(conf, "plugin.library.paths", plugin, NULL, 0);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        printf("set: %d\n", result);
        rd_kafka_conf_destroy(conf);
        return unused;
}

int main(int argc, char **argv) {
        pthread_t thread;

        plugin = argv[argc - 1];
        pthread_create(&thread, NULL, name_it, NULL);
        pthread_join(thread, NULL);
        return 0;
}
