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

extern rd_kafka_s *superstream_engine_rd_kafka_new(ClientType kind,
                                                   rd_kafka_conf_s *conf,
                                                   char *errstr,
                                                   uintptr_t errstr_size);

extern rd_kafka_topic_s *superstream_engine_rd_kafka_topic_new(rd_kafka_s *handle,
                                                               const char *topic,
                                                               rd_kafka_topic_conf_s *conf);

extern uintptr_t superstream_engine_modified_size(void);

extern void superstream_engine_save_modified(const rd_kafka_conf_s *conf, void *to);

extern void superstream_engine_restore_modified(rd_kafka_conf_s *conf, const void *from);

extern const char *rd_kafka_version_str(void);

extern rd_kafka_conf_s *rd_kafka_conf_new(void);

extern void rd_kafka_conf_destroy(rd_kafka_conf_s *conf);

extern ConfResult rd_kafka_conf_get(const rd_kafka_conf_s *conf,
                                    const char *name,
                                    char *dest,
                                    uintptr_t *dest_size);

extern ConfResult rd_kafka_conf_set(rd_kafka_conf_s *conf,
                                    const char *name,
                                    const char *value,
                                    char *errstr,
                                    uintptr_t errstr_size);

extern const char **rd_kafka_conf_dump(rd_kafka_conf_s *conf, uintptr_t *count);

extern void rd_kafka_conf_dump_free(const char **array, uintptr_t count);

extern rd_kafka_topic_conf_s *rd_kafka_conf_get_default_topic_conf(rd_kafka_conf_s *conf);

extern ConfResult rd_kafka_topic_conf_get(const rd_kafka_topic_conf_s *conf,
                                          const char *name,
                                          char *dest,
                                          uintptr_t *dest_size);

extern ConfResult rd_kafka_topic_conf_set(rd_kafka_topic_conf_s *conf,
                                          const char *name,
                                          const char *value,
                                          char *errstr,
                                          uintptr_t errstr_size);

extern ResponseError rd_kafka_conf_interceptor_add_on_new(rd_kafka_conf_s *conf,
                                                          const char *name,
                                                          Option<OnNew> on_new,
                                                          void *opaque);

extern ResponseError rd_kafka_interceptor_add_on_destroy(rd_kafka_s *handle,
                                                         const char *name,
                                                         Option<OnDestroy> on_destroy,
                                                         void *opaque);

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
 destroyed yet. For a client that Superstream does not look after (it is off, or the client
 is not known) the document says so.

 Returns a NUL-terminated UTF-8 text that the caller frees with `superstream_free()`, or NULL
 if `client` is NULL or there is no memory. It never waits for the service. Any thread may
 call this, but not while another one destroys the client. No secret is in the document.

 The document has these members; more may come, so ignore what you do not know:
 `superstream` (`version`, `on`, `mode`), `service` (`host`, `state`: `unknown`, `up` or
 `down`, with `reason`), `client` (`type`, `client_id`, `client_hash`), `asked`, `answered`,
 `note`, `changes` (`key`, `old`, `new`, `reason`), `refusals` (`key`, `asked`, `reason`) and
 `errors`.

 # Safety
 `client` is only compared, never followed.
 */
char *superstream_status(const rd_kafka_s *client);

/*
 Frees a text that `superstream_status()` returned. NULL is fine. Any thread may call this.

 # Safety
 `text` came from `superstream_status()` and is freed once.
 */
void superstream_free(char *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SUPERSTREAM_H */
