#include <stdio.h>

#include <librdkafka/rdkafka.h>

int main(void) {
        printf("librdkafka %s\n", rd_kafka_version_str());
        /* The header and the library must be of one version. */
        return rd_kafka_version() == RD_KAFKA_VERSION ? 0 : 1;
}
