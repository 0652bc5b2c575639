/*
 * The time of a program whose clock differs from the machine's: a library that is loaded before the C library
 * (LD_PRELOAD). The file CLOCK_OFFSET_FILE has the difference in seconds, and is read each time.
 *
 * Only system calls are made. To find the C library's own functions, libfaketime calls dlsym(), which allocates; the
 * gateway's allocator asks for the time while it starts, and would wait for itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t difference(void) {
    const char *file = getenv("CLOCK_OFFSET_FILE");
    char text[24] = "";
    int opened = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (opened < 0) return 0;
    if (read(opened, text, sizeof text - 1) < 0) text[0] = 0;
    close(opened);
    return strtoll(text, NULL, 10);
}

/* Differences of monotonic times stay as they are: timers go on as before. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += difference();
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, time, zone);
    if (!failed) time->tv_sec += difference();
    return failed;
}

time_t time(time_t *result) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
