/* A tool: serves a mock cluster until its stdin is closed or SIGTERM arrives.
 *
 * The first line on stdout is the value for bootstrap.servers. With -c the last line is a JSON
 * object with the number of requests that the brokers received, by their name.
 */
#define _GNU_SOURCE /* ppoll() */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

static volatile sig_atomic_t stopped;

static void stop(int signal) {
        (void)signal;
        stopped = 1;
}

static void fail(const char *what, const char *why) {
        fprintf(stderr, "mock_cluster: %s: %s\n", what, why);
        exit(2);
}

static void usage(void) {
        fprintf(stderr, "usage: mock_cluster [-n BROKERS] [-t TOPIC:PARTITIONS]... [-c]\n");
        exit(2);
}

static void create_topic(rd_kafka_mock_cluster_t *cluster, char *argument, int brokers) {
        char *colon = strrchr(argument, ':');
        int partitions;
        rd_kafka_resp_err_t err;

        if (!colon || (partitions = atoi(colon + 1)) <= 0)
                usage();
        *colon = '\0';
        err    = rd_kafka_mock_topic_create(cluster, argument, partitions,
                                            brokers < 3 ? brokers : 3);
        if (err)
                fail(argument, rd_kafka_err2str(err));
}

/* Returns when stdin has ended or a signal came; `unblocked` lets the signals in only here. */
static void serve(const sigset_t *unblocked) {
        while (!stopped) {
                struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
                char ignored[256];
                if (ppoll(&input, 1, NULL, unblocked) < 0 && errno == EINTR)
                        continue;
                if (read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
                        return;
        }
}

static void print_requests(rd_kafka_mock_cluster_t *cluster) {
        static const struct {
                int key;
                const char *name;
        } apis[] = {{0, "Produce"},      {1, "Fetch"},         {2, "ListOffsets"},
                    {3, "Metadata"},     {8, "OffsetCommit"},  {9, "OffsetFetch"},
                    {11, "JoinGroup"},   {18, "ApiVersions"},  {22, "InitProducerId"},
                    {26, "EndTxn"}};
        const size_t known           = sizeof(apis) / sizeof(*apis);
        size_t counts[sizeof(apis) / sizeof(*apis)] = {0};
        size_t total, i, a;
        rd_kafka_mock_request_t **requests = rd_kafka_mock_get_requests(cluster, &total);

        for (i = 0; i < total; i++)
                for (a = 0; a < known; a++)
                        if (rd_kafka_mock_request_api_key(requests[i]) == apis[a].key)
                                counts[a]++;
        rd_kafka_mock_request_destroy_array(requests, total);
        printf("{\"total\":%zu", total);
        for (a = 0; a < known; a++)
                printf(",\"%s\":%zu", apis[a].name, counts[a]);
        printf("}\n");
}

int main(int argc, char **argv) {
        char *topics[64];
        int topic_count = 0, brokers = 1, count_requests = 0, option, i;
        struct sigaction action = {.sa_handler = stop};
        rd_kafka_mock_cluster_t *cluster;
        sigset_t blocked, unblocked;
        char errstr[512];
        rd_kafka_t *rk;

        while ((option = getopt(argc, argv, "n:t:c")) != -1) {
                switch (option) {
                case 'n': brokers = atoi(optarg); break;
                case 't':
                        if (topic_count == 64)
                                fail(optarg, "too many topics");
                        topics[topic_count++] = optarg;
                        break;
                case 'c': count_requests = 1; break;
                default: usage();
                }
        }
        if (brokers < 1 || optind != argc)
                usage();

        /* Blocked before the cluster starts its threads, which inherit the mask. */
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGTERM);
        sigaddset(&blocked, SIGINT);
        sigprocmask(SIG_BLOCK, &blocked, &unblocked);
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);

        /* The cluster needs a handle to live in; this one connects to nothing. */
        if (!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, NULL, errstr, sizeof(errstr))))
                fail("cannot create the handle", errstr);
        if (!(cluster = rd_kafka_mock_cluster_new(rk, brokers)))
                fail("cannot create the cluster", "see the log");
        for (i = 0; i < topic_count; i++)
                create_topic(cluster, topics[i], brokers);
        if (count_requests)
                rd_kafka_mock_start_request_tracking(cluster);

        printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        fflush(stdout);
        serve(&unblocked);

        if (count_requests)
                print_requests(cluster);
        rd_kafka_mock_cluster_destroy(cluster);
        rd_kafka_destroy(rk);
        return 0;
}
