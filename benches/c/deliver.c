/* Producers that deliver records. Once all of them are delivered it says so, and waits for a line
 * on stdin or its end. Then it prints what the process holds: kilobytes of resident memory in all,
 * and without the pages of files. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define RECORD_SIZE 260

static void fail(const char *what, const char *why) {
        fprintf(stderr, "deliver: %s: %s\n", what, why);
        exit(1);
}

static long field(const char *name) {
        char line[256];
        long value = -1;
        FILE *file = fopen("/proc/self/status", "r");

        while (file && fgets(line, sizeof(line), file))
                if (!strncmp(line, name, strlen(name)))
                        value = atol(line + strlen(name));
        if (file)
                fclose(file);
        return value;
}

static rd_kafka_t *producer(const char *brokers) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        char errstr[512];
        rd_kafka_t *rk;

        if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, errstr, sizeof(errstr)))
                fail("bootstrap.servers", errstr);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
        if (!rk)
                fail("rd_kafka_new", errstr);
        return rk;
}

/* All that is counted under callgrind. */
__attribute__((noinline, noclone)) void deliver(rd_kafka_t *rk, int records) {
        static char record[RECORD_SIZE];
        rd_kafka_resp_err_t err;

        memset(record, 'x', sizeof(record));
        while (records-- > 0) {
                err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("orders"),
                                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                        RD_KAFKA_V_VALUE(record, sizeof(record)),
                                        RD_KAFKA_V_END);
                if (err)
                        fail("producev", rd_kafka_err2str(err));
        }
        err = rd_kafka_flush(rk, 120 * 1000);
        if (err)
                fail("flush", rd_kafka_err2str(err));
}

int main(int argc, char **argv) {
        char line[16];
        int clients;

        if (argc != 4)
                fail("usage", "deliver BROKERS CLIENTS RECORDS");
        for (clients = atoi(argv[2]); clients > 0; clients--)
                deliver(producer(argv[1]), atoi(argv[3]));
        puts("delivered");
        fflush(stdout);
        if (!fgets(line, sizeof(line), stdin))
                line[0] = '\0';
        malloc_trim(0);
        printf("%ld %ld\n", field("VmRSS:"), field("RssAnon:"));
        fflush(stdout);
        _exit(0);
}
