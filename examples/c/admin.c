/* Creates a topic, describes it, its configuration and the cluster, and deletes the topic.
 *
 * Each step prints the name of its outcome; the exit status is 1 when a broker refused one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

/* For what a broker may refuse to do. What is there is told by every broker. */
static int timeout_ms = 60000;
#define METADATA_TIMEOUT_MS 60000
static int refused;

static void fail(const char *what, const char *why) {
        fprintf(stderr, "admin: %s: %s\n", what, why);
        exit(2);
}

static void usage(void) {
        fprintf(stderr, "usage: admin -b BROKERS -t TOPIC [-p PARTITIONS]\n"
                        "             [-w TIMEOUT_MS] [-X KEY=VALUE]...\n");
        exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
        char errstr[512];
        if (rd_kafka_conf_set(conf, key, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK)
                fail(key, errstr);
}

static void outcome(const char *step, rd_kafka_resp_err_t err) {
        printf("%s: %s\n", step, rd_kafka_err2name(err));
        if (err)
                refused = 1;
}

static rd_kafka_AdminOptions_t *options(rd_kafka_t *rk, rd_kafka_admin_op_t operation) {
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, operation);
        char errstr[512];
        if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, errstr,
                                                      sizeof(errstr)))
                fail("cannot set the timeout", errstr);
        return options;
}

/* Waits for the answer to the request that was just made on `queue`: there is always one, if
 * only that the time is up. */
static rd_kafka_event_t *answer(const char *step, rd_kafka_queue_t *queue,
                                rd_kafka_AdminOptions_t *options) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
        rd_kafka_AdminOptions_destroy(options);
        if (rd_kafka_event_error(event))
                fprintf(stderr, "admin: %s: %s\n", step, rd_kafka_event_error_string(event));
        return event;
}

static void create(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic, int partitions) {
        char errstr[512];
        rd_kafka_NewTopic_t *wanted =
            rd_kafka_NewTopic_new(topic, partitions, -1, errstr, sizeof(errstr));
        rd_kafka_AdminOptions_t *how = options(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_event_t *event;
        rd_kafka_resp_err_t err;

        if (!wanted)
                fail(topic, errstr);
        rd_kafka_NewTopic_set_config(wanted, "retention.ms", "3600000");
        rd_kafka_CreateTopics(rk, &wanted, 1, how, queue);
        rd_kafka_NewTopic_destroy(wanted);
        event = answer("create topic", queue, how);
        if (!(err = rd_kafka_event_error(event))) {
                size_t count;
                const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
                    rd_kafka_event_CreateTopics_result(event), &count);
                err = rd_kafka_topic_result_error(results[0]);
        }
        outcome("create topic", err);
        rd_kafka_event_destroy(event);
}

static void describe_topic(rd_kafka_t *rk, const char *topic) {
        rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
        const struct rd_kafka_metadata *metadata;
        rd_kafka_resp_err_t err;

        if (!rkt)
                fail(topic, rd_kafka_err2str(rd_kafka_last_error()));
        err = rd_kafka_metadata(rk, 0, rkt, &metadata, METADATA_TIMEOUT_MS);
        outcome("describe topic", err);
        if (!err) {
                printf("  %s has %d partitions\n", metadata->topics[0].topic,
                       metadata->topics[0].partition_cnt);
                rd_kafka_metadata_destroy(metadata);
        }
        rd_kafka_topic_destroy(rkt);
}

static void describe_configuration(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic) {
        rd_kafka_ConfigResource_t *resource =
            rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
        rd_kafka_AdminOptions_t *how = options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
        rd_kafka_event_t *event;
        rd_kafka_resp_err_t err;

        rd_kafka_DescribeConfigs(rk, &resource, 1, how, queue);
        rd_kafka_ConfigResource_destroy(resource);
        event = answer("describe configuration", queue, how);
        if (!(err = rd_kafka_event_error(event))) {
                size_t resources, entries, i;
                const rd_kafka_ConfigResource_t **results =
                    rd_kafka_DescribeConfigs_result_resources(
                        rd_kafka_event_DescribeConfigs_result(event), &resources);
                const rd_kafka_ConfigEntry_t **entry =
                    rd_kafka_ConfigResource_configs(results[0], &entries);
                err = rd_kafka_ConfigResource_error(results[0]);
                for (i = 0; i < entries; i++)
                        if (!strcmp(rd_kafka_ConfigEntry_name(entry[i]), "retention.ms"))
                                printf("  retention.ms=%s\n",
                                       rd_kafka_ConfigEntry_value(entry[i]));
        }
        outcome("describe configuration", err);
        rd_kafka_event_destroy(event);
}

static void describe_cluster(rd_kafka_t *rk, rd_kafka_queue_t *queue) {
        rd_kafka_AdminOptions_t *how = options(rk, RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER);
        rd_kafka_event_t *event;
        rd_kafka_resp_err_t err;

        rd_kafka_DescribeCluster(rk, how, queue);
        event = answer("describe cluster", queue, how);
        err   = rd_kafka_event_error(event);
        outcome("describe cluster", err);
        if (!err) {
                size_t nodes;
                rd_kafka_DescribeCluster_result_nodes(
                    rd_kafka_event_DescribeCluster_result(event), &nodes);
                printf("  %zu brokers\n", nodes);
        }
        rd_kafka_event_destroy(event);
}

static void delete_topic(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic) {
        rd_kafka_DeleteTopic_t *unwanted = rd_kafka_DeleteTopic_new(topic);
        rd_kafka_AdminOptions_t *how     = options(rk, RD_KAFKA_ADMIN_OP_DELETETOPICS);
        rd_kafka_event_t *event;
        rd_kafka_resp_err_t err;

        rd_kafka_DeleteTopics(rk, &unwanted, 1, how, queue);
        rd_kafka_DeleteTopic_destroy(unwanted);
        event = answer("delete topic", queue, how);
        if (!(err = rd_kafka_event_error(event))) {
                size_t count;
                const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
                    rd_kafka_event_DeleteTopics_result(event), &count);
                err = rd_kafka_topic_result_error(results[0]);
        }
        outcome("delete topic", err);
        rd_kafka_event_destroy(event);
}

int main(int argc, char **argv) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        const char *topic     = NULL;
        int partitions        = 4;
        rd_kafka_queue_t *queue;
        char errstr[512];
        rd_kafka_t *rk;
        int option;

        while ((option = getopt(argc, argv, "b:t:p:w:X:")) != -1) {
                char *value;
                switch (option) {
                case 'b': set(conf, "bootstrap.servers", optarg); break;
                case 't': topic = optarg; break;
                case 'p': partitions = atoi(optarg); break;
                case 'w': timeout_ms = atoi(optarg); break;
                case 'X':
                        if (!(value = strchr(optarg, '=')))
                                usage();
                        *value++ = '\0';
                        set(conf, optarg, value);
                        break;
                default: usage();
                }
        }
        if (!topic || optind != argc)
                usage();
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr)))) {
                rd_kafka_conf_destroy(conf);
                fail("cannot create the client", errstr);
        }
        queue = rd_kafka_queue_new(rk);

        create(rk, queue, topic, partitions);
        describe_topic(rk, topic);
        describe_configuration(rk, queue, topic);
        describe_cluster(rk, queue);
        delete_topic(rk, queue, topic);

        rd_kafka_queue_destroy(queue);
        rd_kafka_destroy(rk);
        return refused;
}
