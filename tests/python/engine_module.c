/* A C module of an application that links the system's librdkafka, for two_engines.py. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_MS 60000

static rd_kafka_t *create(rd_kafka_type_t type, const char *brokers, const char *client_id) {
        char errstr[512];
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, errstr, sizeof(errstr)) ||
            rd_kafka_conf_set(conf, "client.id", client_id, errstr, sizeof(errstr)) ||
            (type == RD_KAFKA_CONSUMER &&
             rd_kafka_conf_set(conf, "group.id", "of the module", errstr, sizeof(errstr)))) {
                rd_kafka_conf_destroy(conf);
                return NULL;
        }
        rd_kafka_t *client = rd_kafka_new(type, conf, errstr, sizeof(errstr));
        if (!client)
                rd_kafka_conf_destroy(conf);
        return client;
}

const char *module_version(void) {
        return rd_kafka_version_str();
}

rd_kafka_t *module_producer(const char *brokers, const char *client_id) {
        return create(RD_KAFKA_PRODUCER, brokers, client_id);
}

int module_produce(rd_kafka_t *producer, const char *topic, const char *value) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE((void *)value, strlen(value)),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        rd_kafka_poll(producer, 0);
        return err;
}

int module_close(rd_kafka_t *producer) {
        rd_kafka_resp_err_t err = rd_kafka_flush(producer, PATIENCE_MS);
        rd_kafka_destroy(producer);
        return err;
}

/* Reads `count` records of partition 0 into `lines`, one a line; how many it has read. */
int module_read(const char *brokers, const char *topic, const char *client_id, int count,
                char *lines, size_t size) {
        rd_kafka_t *consumer = create(RD_KAFKA_CONSUMER, brokers, client_id);
        if (!consumer)
                return -1;
        rd_kafka_poll_set_consumer(consumer);
        rd_kafka_topic_partition_list_t *partitions = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(partitions, topic, 0)->offset = 0;
        rd_kafka_assign(consumer, partitions);
        rd_kafka_topic_partition_list_destroy(partitions);

        int read = 0;
        size_t used = 0;
        for (int idle = 0; read < count && idle < PATIENCE_MS / 100;) {
                rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
                if (!message) {
                        idle++;
                        continue;
                }
                if (!message->err && used + message->len + 2 < size) {
                        memcpy(lines + used, message->payload, message->len);
                        used += message->len;
                        lines[used++] = '\n';
                        read++;
                }
                rd_kafka_message_destroy(message);
        }
        lines[used] = '\0';
        rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
        return read;
}
