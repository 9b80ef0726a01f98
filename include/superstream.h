/*
 * Superstream for librdkafka: what a program may ask of the library beyond librdkafka's own
 * functions. A program need not call any of it.
 *
 * Made by cbindgen from src/entry.rs. Do not edit.
 */

#ifndef SUPERSTREAM_H
#define SUPERSTREAM_H

struct rd_kafka_s; /* rdkafka.h calls it rd_kafka_t. */

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of this library, such as "0.1.0": not librdkafka's, which
 `rd_kafka_version_str()` tells.

 The text is static: never free it. Any thread may call this at any time.
 */
const char *superstream_version(void);

/*
 The status of a client as a JSON document: what was asked, what the service answered, each
 change and each refusal with its reason, and the state of the service.

 `client` is a handle that `rd_kafka_new()` of this library returned and that was not
 destroyed yet; it is only compared, never followed. For a client that Superstream does not
 look after (it is off, or the client is not known) the document says so.

 Returns a NUL-terminated UTF-8 text that the caller frees with `superstream_free()`, or NULL
 if `client` is NULL or there is no memory. It never waits for the service. Any thread may
 call this, but not while another one destroys the client. No secret is in the document.

 The document has these members; more may come, so ignore what you do not know:
 `superstream` (`version`, `on`, `mode`), `service` (`host`, `state`: `unknown`, `up` or
 `down`, with `reason`; in words what goes or went wrong: `outage`, `last_outage`, `refused`; and
 `clients_given_up`), `client` (`type`, `client_id`, `client_hash`),
 `asked`, `answered`, `note`, `changes` (`key`, `old`, `new`, `reason`), `refusals` (`key`,
 `asked`, `reason`), `errors`, `at_next_start` (advice that the service has by now),
 `measured` (what the client did since its creation, as in its reports: records, bytes,
 requests, µs) and `saving` (`payload_bytes`, `wire_bytes`, their `wire_ratio`,
 `records_per_request`, `unacknowledged`, the only `topic`, and the `baseline` or
 `no_baseline_because`).
 */
char *superstream_status(const struct rd_kafka_s *client);

/*
 What the service would advise a client of this type (0: producer, 1: consumer) and `client.id`
 (NULL for none), as a JSON document with the members `service` (as in `superstream_status()`),
 `answered` (the advice, or null) and `note`. There is no client: the service is asked to
 remember nothing.

 It waits for the service, SUPERSTREAM_RESPONSE_TIMEOUT at most. Returns a NUL-terminated UTF-8
 text that the caller frees with `superstream_free()`, or NULL if Superstream is off, the type is
 another one, or there is no memory. Any thread may call this.

 # Safety
 `client_id` is NULL or a C string.
 */
char *superstream_advise(int client_type, const char *client_id);

/*
 Frees a text that `superstream_status()` or `superstream_advise()` returned. NULL is fine. Any thread may call this.

 # Safety
 `text` came from one of those functions and is freed once.
 */
void superstream_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SUPERSTREAM_H */
