/* Calls rd_kafka_new where there is no librdkafka, as it finds it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stddef.h>

int main(void) {
        char errstr[64] = "untouched";
        void *(*new)(int, void *, char *, size_t);

        *(void **)&new = dlsym(RTLD_DEFAULT, "rd_kafka_new");
        if (!new) {
                printf("nothing to call\n");
                return 0;
        }
        printf("%s, ", new (0, NULL, errstr, sizeof(errstr)) ? "created" : "not created");
        printf("%s\n", errstr);
        new (0, NULL, NULL, 0);
        return 0;
}
