/* Slows the clock of every thread that waits on an io_uring, by a factor of 1,000.
 *
 * What a core does by the clock (maintenance after a millisecond of work, timers) would come more
 * often in a program that runs fifty times slower, and differently often in each run. Waits keep
 * their length: a core that has nothing to do still wakes ten times a second.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOWER 1000LL
#define SHORTER 100
#define NANOSECONDS 1000000000LL

static __thread int is_core __attribute__((tls_model("initial-exec")));
static __thread long long slow_start __attribute__((tls_model("initial-exec")));
static __thread long long start __attribute__((tls_model("initial-exec")));
static int (*real_clock)(clockid_t, struct timespec *);
static long (*real_syscall)(long, ...);
static int short_waits;

__attribute__((constructor)) static void find(void) {
    real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    short_waits = getenv("SHORT_WAITS") != NULL;
}

static long long monotonic(void) {
    struct timespec now;
    real_clock(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!is_core || clock != CLOCK_MONOTONIC)
        return real_clock(clock, now);
    long long slow = slow_start + (monotonic() - start) / SLOWER;
    now->tv_sec = slow / NANOSECONDS;
    now->tv_nsec = slow % NANOSECONDS;
    return 0;
}

long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_io_uring_enter && !is_core) {
        /* The same part of a second in every run: an addition that carries takes longer. */
        start = monotonic();
        slow_start = (start / NANOSECONDS + 1) * NANOSECONDS + NANOSECONDS / 10;
        is_core = 1;
    }
    struct io_uring_getevents_arg argument;
    struct __kernel_timespec timeout;
    if (short_waits && number == SYS_io_uring_enter && a[3] & IORING_ENTER_EXT_ARG) {
        argument = *(struct io_uring_getevents_arg *)a[4];
        timeout = *(struct __kernel_timespec *)argument.ts;
        long long length = timeout.tv_sec * NANOSECONDS + timeout.tv_nsec;
        timeout.tv_sec = length / SHORTER / NANOSECONDS;
        timeout.tv_nsec = length / SHORTER % NANOSECONDS;
        argument.ts = (unsigned long)&timeout;
        a[4] = (long)&argument;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
