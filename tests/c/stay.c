/* Preloaded, it keeps a process that is about to exit until the test closes the port in STAY: what
 * is reported of the last client may come after the client's end. The test is told who that is, and
 * the code that it called exit() with: of one that failed no more will come. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* What main() returns is not seen. */
static int32_t code_of_exit;

__attribute__((noreturn)) void exit(int code) {
        void (*next)(int) = (void (*)(int))dlsym(RTLD_NEXT, "exit");

        code_of_exit = code;
        if (next)
                next(code);
        _exit(code);
}

__attribute__((destructor)) static void stay(void) {
        const char *port = getenv("STAY");
        struct sockaddr_in test = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int32_t told[2] = {getpid(), code_of_exit};
        char byte;

        if (!port || connection < 0)
                return;
        test.sin_port = htons((unsigned short)atoi(port));
        if (!connect(connection, (struct sockaddr *)&test, sizeof(test)) &&
            send(connection, told, sizeof(told), MSG_NOSIGNAL) == sizeof(told))
                while (read(connection, &byte, 1) > 0)
                        ;
        close(connection);
}
