/* What is mended in the embedded engine, compiled against its own private headers.
 * src/engine/embedded.rs names the faults and their sources. */
#include "rd.h" /* first: it chooses the features of the C library */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rdkafka_int.h"
#include "rdkafka_interceptor.h"

/* Takes the place of rd_kafka_interceptors_destroy() where rd_kafka_new() gives up.
 * `conf` is the struct-copy of the application's configuration: the lists that were made on
 * the configuration (on_conf_*, on_new, config) still belong to the application. Only what
 * the on_new interceptors added to the handle goes. */
void superstream_engine_failed_creation(rd_kafka_conf_t *conf) {
        rd_list_destroy(&conf->interceptors.on_destroy);
        rd_list_destroy(&conf->interceptors.on_send);
        rd_list_destroy(&conf->interceptors.on_acknowledgement);
        rd_list_destroy(&conf->interceptors.on_consume);
        rd_list_destroy(&conf->interceptors.on_commit);
        rd_list_destroy(&conf->interceptors.on_request_sent);
        rd_list_destroy(&conf->interceptors.on_response_received);
        rd_list_destroy(&conf->interceptors.on_thread_start);
        rd_list_destroy(&conf->interceptors.on_thread_exit);
        rd_list_destroy(&conf->interceptors.on_broker_state_change);
}

size_t superstream_engine_conf_size(void) {
        return sizeof(rd_kafka_conf_t);
}

/* A failed creation leaves in the configuration what the engine derived from it. With the old
 * values back it is derived anew: the application reads what stock would have left. */
void superstream_engine_finalize(rd_kafka_conf_t *conf, rd_kafka_type_t type) {
        (void)rd_kafka_conf_finalize(type, conf);
}

/* The system's bundle of CA certificates, by distribution: Debian, Red Hat and its kin, SUSE.
 * A distribution's own OpenSSL finds it as `cert.pem` in its folder, which ours does not know. */
static const char *const ca_bundles[] = {
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
};

/* Stands in for SSL_CTX_set_default_verify_paths() in the engine: OpenSSL's folder of hashed
 * names (/etc/ssl/certs, see .cargo/config.toml), SSL_CERT_FILE and SSL_CERT_DIR as ever; where
 * SSL_CERT_FILE names no bundle, the system's. */
int superstream_engine_system_trust(SSL_CTX *context) {
        int result = SSL_CTX_set_default_verify_paths(context);
        size_t i;

        if (getenv("SSL_CERT_FILE"))
                return result;
        for (i = 0; i < sizeof(ca_bundles) / sizeof(*ca_bundles); i++) {
                if (access(ca_bundles[i], R_OK) == 0 &&
                    SSL_CTX_load_verify_locations(context, ca_bundles[i], NULL) == 1)
                        break;
        }
        ERR_clear_error();
        return result;
}
