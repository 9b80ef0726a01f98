/* Creates a share consumer, which an engine since 2.15 makes of a client inside itself. The headers
 * that the tests compile with are older. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

void *rd_kafka_share_consumer_new(rd_kafka_conf_t *conf, char *errstr, size_t errstr_size);
void rd_kafka_share_destroy(void *share);

int main(void) {
        char errstr[512] = "";
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        void *share;

        rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
        rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
        rd_kafka_conf_set(conf, "group.id", "g", NULL, 0);
        share = rd_kafka_share_consumer_new(conf, errstr, sizeof(errstr));
        printf("%s%s\n", share ? "created" : "failed: ", errstr);
        fflush(stdout);
        getchar();
        if (share)
                rd_kafka_share_destroy(share);
        return 0;
}
