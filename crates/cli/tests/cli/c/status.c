/* Holds a status as the preload library does: status PID-OR-0 HOW JSON-BEHIND-THE-PID */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(int file, uint64_t sequence, const char *body) {
        uint64_t header[2] = {sequence, strlen(body)};
        if (pwrite(file, header, sizeof header, 0) < 0 ||
            pwrite(file, body, strlen(body), sizeof header) < 0)
                exit(2);
}

int main(int argc, char **argv) {
        int file = memfd_create("superstream-status", MFD_CLOEXEC);
        char body[4096], line[16];
        if (file < 0 || argc != 3)
                return 2;
        snprintf(body, sizeof body, "{\"pid\":%d,%s", (int)getpid(), argv[2]);
        if (!strcmp(argv[1], "whole"))
                put(file, 4, body);
        if (!strcmp(argv[1], "half") || !strcmp(argv[1], "late"))
                put(file, 3, "{\"pid\":");
        if (!strcmp(argv[1], "garbage"))
                put(file, 2, "no document");
        if (!strcmp(argv[1], "endless")) {
                uint64_t header[2] = {2, UINT64_MAX};
                if (pwrite(file, header, sizeof header, 0) < 0)
                        return 2;
        }
        /* As if somebody else had made it, and handed it to this process. */
        if (!strcmp(argv[1], "foreign")) {
                put(file, 2, body);
                if (fchown(file, 65534, (gid_t)-1) < 0)
                        return 2;
        }
        if (!strcmp(argv[1], "forked")) {
                put(file, 2, body);
                pid_t child = fork();
                if (child > 0) {
                        waitpid(child, NULL, 0);
                        return 0;
                }
        }
        printf("%d\n", (int)getpid());
        fflush(stdout);
        if (!strcmp(argv[1], "late") && fgets(line, sizeof line, stdin))
                put(file, 4, body);
        /* Until the other end is closed. */
        while (fgets(line, sizeof line, stdin))
                ;
        return 0;
}
