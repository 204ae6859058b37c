/* A workload whose events are known exactly.
 *
 * load getppid N [CPU]   N getppid system calls, the first argument register counting 0, 1, ...
 * load rare N [CPU]      N sched_get_priority_max system calls: no other program makes them
 * load call N [CPU]      N calls of the function target_fn(i, 2 * i), which returns i + 7
 * load read N [CPU]     N reads of 4093 bytes from /dev/zero: no program's start asks for so many
 * load threads T         T threads block reading a pipe each, are seen asleep, and are released
 * load held T            as threads, but by preadv2, which no other program calls; prints "asleep", and
 *                        releases them on SIGUSR1
 * load semaphore N       waits until the counter target_semaphore is N (what a USDT probe counts up)
 *
 * Options before the mode: -w waits for a line on standard input before it starts, having printed
 * "ready PID". At its end it prints: MODE COUNT SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((noinline, noclone)) long target_fn(long i, long twice)
{
	__asm__ volatile("" : : "r"(twice) : "memory");
	return i + 7;
}

/* Counted up by the kernel for each probe that names it as its reference counter. In the file, as
 * sys/sdt.h puts it, so that it has an offset there. */
volatile unsigned short target_semaphore __attribute__((section(".probes"))) = 0;

static void wait_semaphore(long wanted)
{
	const struct timespec little = {0, 1000000};

	while (target_semaphore != wanted)
		nanosleep(&little, NULL);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		perror("sched_setaffinity");
}

static void reads(long count)
{
	char buffer[4093];
	int zero = open("/dev/zero", O_RDONLY);

	for (long i = 0; i < count; i++) {
		if (read(zero, buffer, sizeof buffer) != sizeof buffer)
			abort();
	}
	close(zero);
}

struct blocked {
	int pipe[2], hold;
	pid_t tid;
	pthread_t thread;
};

static void *block(void *argument)
{
	struct blocked *self = argument;
	char byte;
	struct iovec vector = {&byte, 1};

	__atomic_store_n(&self->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	if ((self->hold ? syscall(SYS_preadv2, self->pipe[0], &vector, 1, -1L, -1L, 0)
			: read(self->pipe[0], &byte, 1)) != 1)
		abort();
	return NULL;
}

/* State letter of a thread of ours, from /proc/self/task/TID/stat. */
static char state_of(pid_t tid)
{
	char name[64], line[256] = "";
	FILE *file;

	snprintf(name, sizeof name, "/proc/self/task/%d/stat", tid);
	file = fopen(name, "r");
	if (!file)
		return '?';
	if (!fgets(line, sizeof line, file))
		line[0] = 0;
	fclose(file);
	char *end = strrchr(line, ')');
	return end ? end[2] : '?';
}

static void wait_asleep(struct blocked *one)
{
	const struct timespec little = {0, 1000000};

	while (!__atomic_load_n(&one->tid, __ATOMIC_ACQUIRE) || state_of(one->tid) != 'S')
		nanosleep(&little, NULL);
}

static void wait_signal(const sigset_t *set)
{
	int number;

	printf("asleep\n");
	fflush(stdout);
	if (sigwait(set, &number) != 0)
		abort();
}

static void threads(long count, int hold)
{
	struct blocked *all = calloc((size_t)count, sizeof *all);
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (hold)
		sigprocmask(SIG_BLOCK, &set, NULL); /* the threads inherit it */

	for (long i = 0; i < count; i++) {
		all[i].hold = hold;
		if (pipe(all[i].pipe) != 0 || pthread_create(&all[i].thread, NULL, block, &all[i]) != 0) {
			perror("cannot start a thread");
			exit(1);
		}
	}
	for (long i = 0; i < count; i++)
		wait_asleep(&all[i]);
	if (hold)
		wait_signal(&set);
	for (long i = 0; i < count; i++) {
		if (write(all[i].pipe[1], "x", 1) != 1)
			abort();
	}
	for (long i = 0; i < count; i++)
		pthread_join(all[i].thread, NULL);
	free(all);
}

int main(int argc, char **argv)
{
	int wait = argc > 1 && strcmp(argv[1], "-w") == 0;
	char **args = argv + 1 + wait;

	if (argc - wait < 3) {
		fprintf(stderr, "usage: load [-w] getppid|rare|call|read|threads|held|semaphore N [CPU]\n");
		return 2;
	}
	long n = atol(args[1]);
	if (args[2])
		pin(atoi(args[2]));
	if (wait) {
		char line[16];
		printf("ready %d\n", getpid());
		fflush(stdout);
		if (!fgets(line, sizeof line, stdin))
			return 1;
	}
	double start = seconds();
	if (strcmp(args[0], "getppid") == 0) {
		for (long i = 0; i < n; i++)
			syscall(SYS_getppid, i);
	} else if (strcmp(args[0], "rare") == 0) {
		for (long i = 0; i < n; i++)
			syscall(SYS_sched_get_priority_max, SCHED_OTHER);
	} else if (strcmp(args[0], "call") == 0) {
		volatile long sum = 0;
		for (long i = 0; i < n; i++)
			sum += target_fn(i, 2 * i);
	} else if (strcmp(args[0], "read") == 0) {
		reads(n);
	} else if (strcmp(args[0], "threads") == 0) {
		threads(n, 0);
	} else if (strcmp(args[0], "held") == 0) {
		threads(n, 1);
	} else if (strcmp(args[0], "semaphore") == 0) {
		wait_semaphore(n);
	} else {
		fprintf(stderr, "load: unknown mode %s\n", args[0]);
		return 2;
	}
	printf("%s %ld %.6f\n", args[0], n, seconds() - start);
	return 0;
}
