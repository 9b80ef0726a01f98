/* An application under the control of a test: reads one command per line from stdin, answers
 * each with one line on stdout. All that a user of the library would notice goes into the
 * answers. It runs with any librdkafka; superstream_status() is looked up. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define MAX_CLIENTS 512
#define MAX_LINE (256 * 1024)

static rd_kafka_conf_t *conf;
static rd_kafka_t *clients[MAX_CLIENTS];
static int client_count;
static double took_ms;

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[64 * 1024];
/* Handles that the log callback was called with, and those that this program made. */
static const rd_kafka_t *logged[MAX_CLIENTS], *made[MAX_CLIENTS];
static int logged_count, made_count;
static atomic_int on_new_calls, connect_calls, delivered, delivery_failures;
static char swallowed[256];

static void answer(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        putchar('\n');
        fflush(stdout);
}

/* The name that never resolves. Every other one is the C library's business. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
        static int (*real)(const char *, const char *, const struct addrinfo *,
                           struct addrinfo **);

        while (node && !strcmp(node, "hang.example"))
                pause();
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, result);
}

static void keep_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
        size_t used;
        int i = 0;

        pthread_mutex_lock(&log_lock);
        while (i < logged_count && logged[i] != rk)
                i++;
        if (i == logged_count && i < MAX_CLIENTS)
                logged[logged_count++] = rk;
        used = strlen(log_text);
        snprintf(log_text + used, sizeof(log_text) - used, "%d %s %s | ", level, facility, text);
        pthread_mutex_unlock(&log_lock);
}

static void count_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk, (void)opaque;
        atomic_fetch_add(message->err ? &delivery_failures : &delivered, 1);
}

static rd_kafka_conf_t *fresh_conf(void) {
        rd_kafka_conf_t *fresh = rd_kafka_conf_new();

        rd_kafka_conf_set_log_cb(fresh, keep_log);
        rd_kafka_conf_set_dr_msg_cb(fresh, count_delivery);
        return fresh;
}

static rd_kafka_conf_t *current_conf(void) {
        if (!conf)
                conf = fresh_conf();
        return conf;
}

static rd_kafka_t *client(const char *index) {
        int i = index ? atoi(index) : 0;

        if (i < 0 || i >= client_count || !clients[i]) {
                answer("there is no client %d", i);
                exit(3);
        }
        return clients[i];
}

static rd_kafka_type_t kind_of(const char *name) {
        return name && !strcmp(name, "consumer") ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
}

static double now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* new KIND [ROOM FOR ERRSTR] */
static void create(rd_kafka_conf_t *with, const char *kind, const char *room) {
        char errstr[512];
        size_t size = room ? (size_t)atoi(room) : sizeof(errstr);
        rd_kafka_t *rk;
        double before = now_ms();

        memset(errstr, '#', sizeof(errstr));
        errstr[sizeof(errstr) - 1] = '\0';
        errno = 77;
        rk = rd_kafka_new(kind_of(kind), with, size ? errstr : NULL, size);
        if (rk) {
                int left = errno;

                took_ms = now_ms() - before;
                made[made_count++]      = rk;
                clients[client_count++] = rk;
                answer("created, errno %d, errstr %.1s", left, errstr);
                if (with)
                        conf = NULL;
                return;
        }
        int left = errno; /* first: everything else may change it */
        took_ms = now_ms() - before;
        answer("failed, errno %d, last error %s, errstr %s", left,
               rd_kafka_err2name(rd_kafka_last_error()), errstr);
}

static void get(const rd_kafka_conf_t *from, const char *name) {
        char value[4096];
        size_t size = sizeof(value);

        if (rd_kafka_conf_get(from, name, value, &size) == RD_KAFKA_CONF_OK)
                answer("%s", value);
        else
                answer("unknown");
}

static void dump(rd_kafka_conf_t *from) {
        size_t count, i;
        const char **array = rd_kafka_conf_dump(from, &count);

        for (i = 0; i + 1 < count; i += 2)
                if (strncmp(array[i + 1], "0x", 2)) /* addresses */
                        printf("%s=%s; ", array[i], array[i + 1]);
        answer("end");
        rd_kafka_conf_dump_free(array, count);
}

static void status(const rd_kafka_t *rk) {
        char *(*ask)(const rd_kafka_t *);
        void (*release)(char *);
        char *text;

        *(void **)&ask = dlsym(RTLD_DEFAULT, "superstream_status");
        *(void **)&release = dlsym(RTLD_DEFAULT, "superstream_free");
        if (!ask || !release) {
                answer("null");
                return;
        }
        text = ask(rk);
        answer("%s", text ? text : "null");
        release(text);
}

static void new_topic(rd_kafka_t *rk, const char *name, const char *key, const char *value) {
        rd_kafka_topic_conf_t *topic_conf = key ? rd_kafka_topic_conf_new() : NULL;
        char errstr[512];
        rd_kafka_topic_t *topic;

        if (key && rd_kafka_topic_conf_set(topic_conf, key, value, errstr, sizeof(errstr))) {
                rd_kafka_topic_conf_destroy(topic_conf);
                answer("bad topic configuration: %s", errstr);
                return;
        }
        errno = 0;
        topic = rd_kafka_topic_new(rk, name, topic_conf);
        if (!topic) {
                int left = errno;

                /* The engine has destroyed the configuration. */
                answer("failed, errno %d, last error %s", left,
                       rd_kafka_err2name(rd_kafka_last_error()));
                return;
        }
        rd_kafka_topic_destroy(topic);
        answer("topic");
}

static void produce(rd_kafka_t *rk, const char *topic, const char *value) {
        answer("%s", rd_kafka_err2name(rd_kafka_producev(
                         rk, RD_KAFKA_V_TOPIC(topic),
                         RD_KAFKA_V_VALUE((void *)value, strlen(value)),
                         RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)));
}

/* Handles in the log that are none of this program's. */
static void strangers(void) {
        int i, m, count = 0;

        pthread_mutex_lock(&log_lock);
        for (i = 0; i < logged_count; i++) {
                for (m = 0; m < made_count && made[m] != logged[i]; m++)
                        ;
                count += m == made_count;
        }
        pthread_mutex_unlock(&log_lock);
        answer("%d of %d", count, logged_count);
}

static int count_connect(int socket, const struct sockaddr *address, int length, const char *id,
                         void *opaque) {
        (void)id, (void)opaque;
        atomic_fetch_add(&connect_calls, 1);
        return connect(socket, address, length) ? errno : 0;
}

static rd_kafka_conf_res_t swallow(rd_kafka_conf_t *on, const char *name, const char *value,
                                   char *errstr, size_t errstr_size, void *opaque) {
        (void)on, (void)value, (void)errstr, (void)errstr_size, (void)opaque;
        return strcmp(name, swallowed) ? RD_KAFKA_CONF_UNKNOWN : RD_KAFKA_CONF_OK;
}

/* Any linger but the default brings a timeout that is too short for it. */
static rd_kafka_conf_res_t tie(rd_kafka_conf_t *on, const char *name, const char *value,
                               char *errstr, size_t errstr_size, void *opaque) {
        (void)opaque;
        if (!strcmp(name, "linger.ms"))
                rd_kafka_conf_set(on, "message.timeout.ms", atof(value) == 5 ? "300000" : "20",
                                  errstr, errstr_size);
        return RD_KAFKA_CONF_UNKNOWN;
}

static rd_kafka_resp_err_t count_new(rd_kafka_t *rk, const rd_kafka_conf_t *with, void *opaque,
                                     char *errstr, size_t errstr_size) {
        (void)rk, (void)with, (void)opaque, (void)errstr, (void)errstr_size;
        atomic_fetch_add(&on_new_calls, 1);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* One line of /proc/self/task/TID/NAME that begins with `field`, or the first. */
static int task_line(const char *tid, const char *name, const char *field, char *line, int size) {
        char path[300];
        FILE *file;
        int found = 0;

        snprintf(path, sizeof(path), "/proc/self/task/%s/%s", tid, name);
        if (!(file = fopen(path, "r")))
                return 0;
        while (!found && fgets(line, size, file))
                found = !field || !strncmp(line, field, strlen(field));
        fclose(file);
        line[strcspn(line, "\n")] = '\0';
        return found;
}

static int by_text(const void *one, const void *other) {
        return strcmp(*(char *const *)one, *(char *const *)other);
}

static void answer_sorted(char **names, int count) {
        int i;

        qsort(names, count, sizeof(*names), by_text);
        for (i = 0; i < count; i++) {
                printf("%s%s", i ? "," : "", names[i]);
                free(names[i]);
        }
        answer("%s", "");
}

/* The names of all threads; with `mask`, the blocked signals of the thread of that name. */
static void threads(const char *mask) {
        DIR *folder = opendir("/proc/self/task");
        const struct dirent *entry;
        char *names[512], line[256];
        int count = 0;

        while ((entry = readdir(folder)) && count < 512) {
                if (entry->d_name[0] == '.' ||
                    !task_line(entry->d_name, "comm", NULL, line, sizeof(line)))
                        continue;
                if (!mask)
                        names[count++] = strdup(line);
                else if (!strcmp(line, mask) &&
                         task_line(entry->d_name, "status", "SigBlk:", line, sizeof(line)))
                        names[count++] = strdup(line + strlen("SigBlk:\t"));
        }
        closedir(folder);
        answer_sorted(names, count);
}

/* What the descriptors above stderr are, without their numbers. */
static void descriptors(void) {
        DIR *folder = opendir("/proc/self/fd");
        const struct dirent *entry;
        char *names[512], target[256], path[300];
        int count = 0;

        while ((entry = readdir(folder)) && count < 512) {
                ssize_t length;

                snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
                length = readlink(path, target, sizeof(target) - 1);
                if (length < 0 || atoi(entry->d_name) <= 2 ||
                    atoi(entry->d_name) == dirfd(folder))
                        continue;
                target[length] = '\0';
                if (target[0] != '/')
                        target[strcspn(target, "[")] = '\0';
                names[count++] = strdup(target);
        }
        closedir(folder);
        answer_sorted(names, count);
}

static void high_water(void) {
        char line[256], pid[16];

        snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (!task_line(pid, "status", "VmHWM:", line, sizeof(line)))
                exit(4);
        answer("%d", atoi(line + strlen("VmHWM:")));
}

/* One client for each thread; the answer counts those that came with the advice. */
static void *one_of_many(void *linger) {
        rd_kafka_conf_t *own = fresh_conf();
        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, own, NULL, 0);
        char value[64];
        size_t size = sizeof(value);
        void *tuned = NULL;

        if (!rk)
                exit(5);
        if (!rd_kafka_conf_get(rd_kafka_conf(rk), "linger.ms", value, &size) &&
            atof(value) == atof(linger))
                tuned = linger;
        rd_kafka_destroy(rk);
        return tuned;
}

static void swarm(int count, char *linger) {
        pthread_t ids[256];
        void *tuned;
        int i, with_advice = 0;

        for (i = 0; i < count; i++)
                if (pthread_create(&ids[i], NULL, one_of_many, linger))
                        exit(6);
        for (i = 0; i < count; i++) {
                pthread_join(ids[i], &tuned);
                with_advice += tuned != NULL;
        }
        answer("%d of %d", with_advice, count);
}

static void churn(int count, char *linger) {
        int i, with_advice = 0;

        for (i = 0; i < count; i++)
                with_advice += one_of_many(linger) != NULL;
        answer("%d of %d", with_advice, count);
}

/* The child takes over the script; once it has ended, the parent goes on. */
static void split(void) {
        pid_t child = fork();
        int how;

        if (child == 0) {
                answer("child");
                return;
        }
        if (child < 0 || waitpid(child, &how, 0) != child)
                exit(7);
        if (WIFEXITED(how))
                answer("the child exited with %d", WEXITSTATUS(how));
        else
                answer("the child died of signal %d", WTERMSIG(how));
}

/* Children one after the other, each with a client of its own. */
static void many_forks(int count) {
        int i, how;

        for (i = 0; i < count; i++) {
                pid_t child = fork();

                if (child == 0) {
                        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, fresh_conf(), NULL, 0);

                        rd_kafka_destroy(rk);
                        _exit(0);
                }
                if (child < 0 || waitpid(child, &how, 0) != child || how) {
                        answer("child %d ended with %d", i, how);
                        return;
                }
        }
        answer("%d children", count);
}

/* Another program, which tells what it inherited. */
static void execute(void) {
        pid_t child = fork();

        if (child == 0) {
                execl("/proc/self/exe", "driver", "descriptors", (char *)NULL);
                _exit(8);
        }
        if (child < 0 || waitpid(child, NULL, 0) != child)
                exit(8);
}

static void obey(char *line) {
        char *rest = line;
        const char *command = strsep(&rest, " ");
        char *one = rest ? strsep(&rest, " ") : NULL;
        char errstr[512];
#define IS(name) (!strcmp(command, name))

        if (IS("set")) {
                if (rd_kafka_conf_set(current_conf(), one, rest ? rest : "", errstr,
                                      sizeof(errstr)) == RD_KAFKA_CONF_OK)
                        answer("set");
                else
                        answer("not set: %s", errstr);
        } else if (IS("conf-get"))
                get(current_conf(), one);
        else if (IS("conf-dump"))
                dump(current_conf());
        else if (IS("conf-dup")) {
                rd_kafka_conf_t *copy = rd_kafka_conf_dup(current_conf());

                rd_kafka_conf_destroy(conf);
                conf = copy;
                answer("copied");
        } else if (IS("conf-destroy")) {
                rd_kafka_conf_destroy(current_conf());
                conf = NULL;
                answer("destroyed");
        } else if (IS("swallow")) {
                snprintf(swallowed, sizeof(swallowed), "%s", one);
                rd_kafka_conf_interceptor_add_on_conf_set(current_conf(), "swallow", swallow,
                                                          NULL);
                answer("added");
        } else if (IS("tie")) {
                rd_kafka_conf_interceptor_add_on_conf_set(current_conf(), "tie", tie, NULL);
                answer("added");
        } else if (IS("count-new")) {
                rd_kafka_conf_interceptor_add_on_new(current_conf(), one ? one : "count",
                                                     count_new, NULL);
                answer("added");
        } else if (IS("counted-new"))
                answer("%d", atomic_load(&on_new_calls));
        else if (IS("new") || IS("new-default"))
                create(IS("new") ? current_conf() : NULL, one, rest);
        else if (IS("took"))
                answer("%.3f", took_ms);
        else if (IS("get"))
                get(rd_kafka_conf(client(one)), rest);
        else if (IS("client-dump"))
                dump((rd_kafka_conf_t *)rd_kafka_conf(client(one)));
        else if (IS("status"))
                status(client(one));
        else if (IS("destroy")) {
                rd_kafka_t *rk = client(one);

                clients[atoi(one)] = NULL;
                rd_kafka_destroy(rk);
                answer("destroyed");
        } else if (IS("destroy-flags")) {
                rd_kafka_t *rk = client(one);

                clients[atoi(one)] = NULL;
                rd_kafka_destroy_flags(rk, atoi(rest));
                answer("destroyed");
        } else if (IS("topic")) {
                char *name = strsep(&rest, " "), *key = rest ? strsep(&rest, " ") : NULL;

                new_topic(client(one), name, key, rest);
        } else if (IS("produce"))
                produce(client(one), rest, "hello");
        else if (IS("produce-value")) {
                const char *topic = strsep(&rest, " ");

                produce(client(one), topic, rest ? rest : "");
        } else if (IS("name"))
                answer("%s", rd_kafka_name(client(one)));
        else if (IS("strangers"))
                strangers();
        else if (IS("count-connect")) {
                rd_kafka_conf_set_connect_cb(current_conf(), count_connect);
                answer("set");
        } else if (IS("wait-destroyed"))
                answer("%d", rd_kafka_wait_destroyed(atoi(one)));
        else if (IS("thread-count"))
                answer("%d", rd_kafka_thread_cnt());
        else if (IS("many-forks"))
                many_forks(atoi(one));
        else if (IS("flush")) {
                rd_kafka_resp_err_t error = rd_kafka_flush(client(one), 60 * 1000);

                answer("%s, delivered %d, failed %d", rd_kafka_err2name(error),
                       atomic_load(&delivered), atomic_load(&delivery_failures));
        } else if (IS("logs")) {
                pthread_mutex_lock(&log_lock);
                answer("%s", log_text);
                log_text[0] = '\0';
                pthread_mutex_unlock(&log_lock);
        } else if (IS("threads"))
                threads(NULL);
        else if (IS("blocked-signals"))
                threads(one);
        else if (IS("descriptors"))
                descriptors();
        else if (IS("high-water"))
                high_water();
        else if (IS("pid"))
                answer("%d", (int)getpid());
        else if (IS("swarm") || IS("churn"))
                (IS("swarm") ? swarm : churn)(atoi(one), rest);
        else if (IS("fork"))
                split();
        else if (IS("exec"))
                execute();
        else if (IS("exit"))
                exit(0);
        else if (IS("_exit"))
                _exit(0);
        else if (IS("properties")) {
                rd_kafka_conf_properties_show(stdout);
                answer("end");
        }
        else
                answer("what is %s?", command);
}

/* Byte by byte: a forked child goes on where its parent stopped. */
static int read_line(char *line, size_t size) {
        size_t length = 0;

        while (length + 1 < size) {
                if (read(STDIN_FILENO, &line[length], 1) != 1)
                        return 0;
                if (line[length] == '\n')
                        break;
                length++;
        }
        line[length] = '\0';
        return 1;
}

int main(int argc, char **argv) {
        static char line[MAX_LINE];

        if (argc > 1) {
                obey(argv[1]);
                return 0;
        }
        while (read_line(line, sizeof(line)))
                obey(line);
        return 0;
}
