/* A program on preload_old.c. */
#include <stdio.h>
#include <stddef.h>

void *rd_kafka_conf_new(void);
void *rd_kafka_new(int type, void *conf, char *errstr, size_t errstr_size);

int main(void) {
        void *conf = rd_kafka_conf_new();
        int i;

        for (i = 0; i < 2; i++)
                printf("%s\n", rd_kafka_new(0, conf, NULL, 0) == conf ? "created" : "lost");
        return 0;
}
