/* Opens librdkafka at run time, as .NET and JNA do. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
        void *library = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
        const char *preload = getenv("LD_PRELOAD");
        puts(preload ? preload : "");
        return library && dlsym(library, "rd_kafka_new") ? 0 : 1;
}
