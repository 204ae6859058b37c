/* Calls getppid, the cheapest system call that does something, in ways that benchmarks need.
 *
 *   load CPU burst N        N calls at once; prints "N WALL_SECONDS"
 *   load CPU batches B N    B times N calls; prints B times the ns of thread CPU time a call
 *   load CPU tick US        a call every US microseconds, until standard input ends
 *   load CPU switch N       two threads hand a byte to and fro N times, on this CPU alone: 2 N
 *                           switches at least, from different depths of the stack; as burst
 *   load CPU objects N      getpriority(-1, 1) to (-1, N), then (-2, 1) to (-2, N/2): what a plan
 *                           may take for N objects, half of them given back; prints N
 *
 * Each prints "ready PID" first, pinned to CPU, and begins when a line comes on standard input.
 * Thread CPU time and not wall time: what others do on that CPU meanwhile does not count.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void calls(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
}

static void burst(long n)
{
	double start = now(CLOCK_MONOTONIC);
	calls(n);
	printf("%ld %.9f\n", n, (now(CLOCK_MONOTONIC) - start) / 1e9);
}

static void batches(long count, long n)
{
	for (long i = 0; i < count; i++) {
		double start = now(CLOCK_THREAD_CPUTIME_ID);
		calls(n);
		printf("%.2f ", (now(CLOCK_THREAD_CPUTIME_ID) - start) / (double)n);
	}
	printf("\n");
}

static void tick(long us)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	struct timespec pause = {us / 1000000, us % 1000000 * 1000};

	while (poll(&input, 1, 0) == 0) {
		calls(1);
		nanosleep(&pause, NULL);
	}
}

static int to[2], fro[2];

static void __attribute__((noinline)) hand(int deep, int in, int out)
{
	char byte;

	if (deep > 0) {
		hand(deep - 1, in, out);
		__asm__ volatile("");	/* no tail call: each depth is a separate frame */
		return;
	}
	if (read(in, &byte, 1) != 1 || write(out, &byte, 1) != 1)
		perror("load: pipe");
}

static void *answer(void *count)
{
	for (long i = 0; i < *(long *)count; i++)
		hand(i % 32, to[0], fro[1]);
	return NULL;
}

static int switches(long n)
{
	pthread_t other;
	double start = now(CLOCK_MONOTONIC);

	if (pipe(to) || pipe(fro) || pthread_create(&other, NULL, answer, &n))
		return 1;
	if (write(to[1], "x", 1) != 1)
		return 1;
	for (long i = 0; i < n; i++)
		hand(i % 32, fro[0], i + 1 < n ? to[1] : fro[1]);
	pthread_join(other, NULL);
	printf("%ld %.9f\n", n, (now(CLOCK_MONOTONIC) - start) / 1e9);
	return 0;
}

static void objects(long n)
{
	for (long i = 1; i <= n; i++)
		syscall(SYS_getpriority, -1, i);
	for (long i = 1; i <= n / 2; i++)
		syscall(SYS_getpriority, -2, i);
	printf("%ld\n", n);
}

static int ready(int cpu)
{
	char line[16];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		perror("load: sched_setaffinity");
	setvbuf(stdin, NULL, _IONBF, 0);
	printf("ready %d\n", getpid());
	fflush(stdout);
	return fgets(line, sizeof line, stdin) != NULL;
}

int main(int argc, char **argv)
{
	if (argc < 4 || !ready(atoi(argv[1])))
		return 2;
	if (strcmp(argv[2], "burst") == 0)
		burst(atol(argv[3]));
	else if (strcmp(argv[2], "batches") == 0 && argc == 5)
		batches(atol(argv[3]), atol(argv[4]));
	else if (strcmp(argv[2], "tick") == 0)
		tick(atol(argv[3]));
	else if (strcmp(argv[2], "switch") == 0)
		return switches(atol(argv[3]));
	else if (strcmp(argv[2], "objects") == 0)
		objects(atol(argv[3]));
	else
		return 2;
	return 0;
}
