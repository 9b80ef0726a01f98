/* A program or a module that makes a client. */
#include <stddef.h>
#include <stdio.h>

void *rd_kafka_new(int type, void *conf, char *errstr, size_t size);

/* Runs as soon as anybody loads this: nobody is to do that for a look. */
__attribute__((constructor)) static void loaded(void) {
        FILE *file = fopen("loaded", "w");
        if (file)
                fclose(file);
}

int main(int argc, char **argv) {
        char line[16];
        if (argc > 1 && !rd_kafka_new(0, NULL, NULL, 0))
                return 1;
        puts(argv[0]);
        fflush(stdout);
        /* Stays until it is told to end. */
        return argc > 1 && fgets(line, sizeof line, stdin) ? 1 : 0;
}
