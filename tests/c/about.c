/* Prints what the loaded librdkafka says of itself. */
#include <stdio.h>

#include <librdkafka/rdkafka.h>

int main(void) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char features[512];
        size_t size = sizeof(features);

        if (rd_kafka_conf_get(conf, "builtin.features", features, &size) != RD_KAFKA_CONF_OK)
                return 1;
        printf("version: %s (%x)\n", rd_kafka_version_str(), (unsigned)rd_kafka_version());
        printf("builtin.features: %s\n", features);
        rd_kafka_conf_destroy(conf);
        return 0;
}
