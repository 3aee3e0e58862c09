/* The wall clock of the processes that this is preloaded into: ahead of the machine's by as many seconds as stand in the
   file named by WALL_CLOCK. No other clock is touched. (libfaketime 0.9.10 can't leave the monotonic clock alone without
   failing every clock_nanosleep with EINVAL.) Written without headers, so that a compiler is all it needs. */

struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };

extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern int open(const char *, int, ...);
extern long read(int, void *, unsigned long);
extern int close(int);
extern long atol(const char *);

static long ahead(void)
{
    char text[32] = {0};
    int fd = open(getenv("WALL_CLOCK"), 0);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return 0;
    close(fd);
    return atol(text);
}

int clock_gettime(int clock, struct timespec *now)
{
    int (*real)(int, struct timespec *) = dlsym((void *)-1, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && (clock == 0 || clock == 5)) /* CLOCK_REALTIME and its coarse form */
        now->seconds += ahead();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int (*real)(struct timeval *, void *) = dlsym((void *)-1, "gettimeofday");
    int failed = real(now, zone);
    if (!failed)
        now->seconds += ahead();
    return failed;
}

long time(long *now)
{
    struct timeval exact;
    gettimeofday(&exact, 0);
    if (now)
        *now = exact.seconds;
    return exact.seconds;
}
