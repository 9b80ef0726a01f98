/* ThreadSanitizer sees what is done through pthreads. Debian's librdkafka uses C11's threads, which
 * go past that in glibc; here they take the seen way. Their types are the same in glibc. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <threads.h>

#define MUTEX(mutex) ((pthread_mutex_t *)(mutex))
#define CONDITION(condition) ((pthread_cond_t *)(condition))

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mutexes differ");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "conditions differ");

struct start {
        thrd_start_t function;
        void *argument;
};

static int result(int error) {
        switch (error) {
        case 0: return thrd_success;
        case EBUSY: return thrd_busy;
        case ETIMEDOUT: return thrd_timedout;
        case ENOMEM: return thrd_nomem;
        default: return thrd_error;
        }
}

static void *run(void *given) {
        struct start start = *(struct start *)given;

        free(given);
        return (void *)(long)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument) {
        struct start *start = malloc(sizeof(*start));

        *start = (struct start){function, argument};
        return result(pthread_create(thread, NULL, run, start));
}

int thrd_join(thrd_t thread, int *code) {
        void *returned;
        int error = pthread_join(thread, &returned);

        if (code)
                *code = (int)(long)returned;
        return result(error);
}

int thrd_detach(thrd_t thread) {
        return result(pthread_detach(thread));
}

int mtx_init(mtx_t *mutex, int type) {
        pthread_mutexattr_t attributes;

        pthread_mutexattr_init(&attributes);
        if (type & mtx_recursive)
                pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        return result(pthread_mutex_init(MUTEX(mutex), &attributes));
}

void mtx_destroy(mtx_t *mutex) {
        pthread_mutex_destroy(MUTEX(mutex));
}

int mtx_lock(mtx_t *mutex) {
        return result(pthread_mutex_lock(MUTEX(mutex)));
}

int mtx_trylock(mtx_t *mutex) {
        return result(pthread_mutex_trylock(MUTEX(mutex)));
}

int mtx_unlock(mtx_t *mutex) {
        return result(pthread_mutex_unlock(MUTEX(mutex)));
}

int cnd_init(cnd_t *condition) {
        return result(pthread_cond_init(CONDITION(condition), NULL));
}

void cnd_destroy(cnd_t *condition) {
        pthread_cond_destroy(CONDITION(condition));
}

int cnd_signal(cnd_t *condition) {
        return result(pthread_cond_signal(CONDITION(condition)));
}

int cnd_broadcast(cnd_t *condition) {
        return result(pthread_cond_broadcast(CONDITION(condition)));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex) {
        return result(pthread_cond_wait(CONDITION(condition), MUTEX(mutex)));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
        return result(pthread_cond_timedwait(CONDITION(condition), MUTEX(mutex), until));
}
