/* Preloaded, it keeps a process that is about to exit until the test closes the port in STAY: what
 * is reported of the last client may come after the client's end. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((destructor)) static void stay(void) {
        const char *port = getenv("STAY");
        struct sockaddr_in test = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char byte;

        if (!port || connection < 0)
                return;
        test.sin_port = htons((unsigned short)atoi(port));
        if (!connect(connection, (struct sockaddr *)&test, sizeof(test)))
                while (read(connection, &byte, 1) > 0)
                        ;
        close(connection);
}
