/* The preload library as far as the CLI sees it. The host says what becomes of the question. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *superstream_version(void) {
        return "0.0.0";
}

static void token(char *into, int size) {
        const char *name = getenv("SUPERSTREAM_TOKEN_FILE");
        FILE *file = name ? fopen(name, "r") : NULL;
        if (!file || !fgets(into, size, file))
                snprintf(into, size, "none");
        into[strcspn(into, "\n")] = '\0';
        if (file)
                fclose(file);
}

char *superstream_advise(int type, const char *client_id) {
        const char *host = getenv("SUPERSTREAM_HOST"), *state = "up";
        const char *answered = "null", *note = "", *reason = "";
        char *document, given[64];
        if (!host || strstr(host, "off") || strcmp(client_id, "rdkafka"))
                return NULL;
        /* A connection that stays open. */
        if (strstr(host, "talkative") && !fopen("connection", "w"))
                return NULL;
        token(given, sizeof given);
        if (strstr(host, "down")) {
                state = "down";
                reason = "connection refused";
        } else if (getenv("SUPERSTREAM_TOKEN") || strcmp(given, "good-token")) {
                note = "the service refuses: 401 Unauthorized";
        } else {
                answered = type == 0 ? "{\"start\":true,\"mode\":\"active\","
                                       "\"optimized_configuration\":{\"linger.ms\":100}}"
                                     : "{\"start\":true,\"optimized_configuration\":{}}";
        }
        if (asprintf(&document,
                     "{\"service\":{\"host\":\"%s\",\"state\":\"%s\",\"reason\":\"%s\"},"
                     "\"answered\":%s,\"note\":\"%s\"}",
                     host, state, reason, answered, note) < 0)
                return NULL;
        return document;
}

void superstream_free(char *text) {
        free(text);
}
