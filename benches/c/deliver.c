/* Producers that deliver records. Once all of them are delivered it says so, and waits for a line
 * on stdin or its end. Then it prints what the process holds: kilobytes of resident memory in all,
 * and without the pages of files. */
#define _GNU_SOURCE
#include "held.h"

#define RECORD_SIZE 260

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
                deliver(producer(rd_kafka_conf_new(), argv[1]), atoi(argv[3]));
        puts("delivered");
        fflush(stdout);
        if (!fgets(line, sizeof(line), stdin))
                line[0] = '\0';
        TELL(MEMORY);
}
