/* A PHP extension with one function: rd_kafka_new(), called as an extension calls it.
 *
 * PHP loads extensions with RTLD_DEEPBIND: they find functions in the libraries that they were
 * linked with before they would find them in what was preloaded.
 */
#include <php.h>

#include <librdkafka/rdkafka.h>

ZEND_BEGIN_ARG_INFO_EX(arguments, 0, 0, 2)
ZEND_ARG_TYPE_INFO(0, type, IS_LONG, 0)
ZEND_ARG_TYPE_INFO(0, conf, IS_LONG, 0)
ZEND_END_ARG_INFO()

/* reach_new(int $type, int $conf): int takes and gives addresses. */
PHP_FUNCTION(reach_new) {
        zend_long type, conf;
        char errstr[512];
        rd_kafka_t *rk;

        ZEND_PARSE_PARAMETERS_START(2, 2)
        Z_PARAM_LONG(type)
        Z_PARAM_LONG(conf)
        ZEND_PARSE_PARAMETERS_END();

        rk = rd_kafka_new((rd_kafka_type_t)type, (rd_kafka_conf_t *)conf, errstr, sizeof(errstr));
        if (!rk)
                zend_throw_error(NULL, "%s", errstr);
        RETURN_LONG((zend_long)rk);
}

static const zend_function_entry functions[] = {PHP_FE(reach_new, arguments) PHP_FE_END};

static zend_module_entry reach_module_entry = {
    STANDARD_MODULE_HEADER, "reach", functions, NULL, NULL, NULL, NULL, NULL, "1",
    STANDARD_MODULE_PROPERTIES};

ZEND_GET_MODULE(reach)
