/* System calls with exact arguments. Every line of standard input makes one:
 *   prctl A B C D E    prctl(A, B, C, D, E), numbers of any width; fails, and that is no matter
 *   open PATH          open(PATH, O_RDONLY)
 *   bad                open at an address that is not mapped
 *   getppid N          N times
 *   forks N            N children, one after the other, each with a grandchild; all call getppid once
 *   nest N             nest(N), which calls nest(N - 1) and so on to nest(1); nest(n) is 10 n
 *   both N             two threads on two CPUs, N getppid each
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long times;

__attribute__((noinline, noclone)) long nest(long depth)
{
	long below = depth > 1 ? nest(depth - 1) : 0;

	__asm__ volatile("" : "+r"(below) : : "memory");
	return below + 10;
}

static void *many(void *unused)
{
	for (long i = 0; i < times; i++)
		syscall(SYS_getppid);
	return unused;
}

static void forks(long n)
{
	for (long i = 0; i < n; i++) {
		if (fork() == 0) {
			syscall(SYS_getppid);
			if (fork() == 0) {
				syscall(SYS_getppid);
				_exit(0);
			}
			wait(NULL);
			_exit(0);
		}
		wait(NULL);
	}
}

static void both(void)
{
	pthread_t other;

	pthread_create(&other, NULL, many, NULL);
	many(NULL);
	pthread_join(other, NULL);
}

static void one(char *line)
{
	unsigned long long n[5] = {0};
	char *word = strtok(line, " \n"), *rest;

	if (!word)
		return;
	if (!strcmp(word, "bad")) {
		syscall(SYS_openat, AT_FDCWD, (void *)8, O_RDONLY);
		return;
	}
	rest = strtok(NULL, "\n");
	if (!strcmp(word, "open")) {
		int fd = syscall(SYS_openat, AT_FDCWD, rest, O_RDONLY);
		if (fd >= 0)
			close(fd);
		return;
	}
	for (int i = 0; i < 5 && rest; i++)
		n[i] = strtoull(rest, &rest, 0);
	times = (long)n[0];
	if (!strcmp(word, "prctl"))
		syscall(SYS_prctl, n[0], n[1], n[2], n[3], n[4]);
	else if (!strcmp(word, "getppid"))
		many(NULL);
	else if (!strcmp(word, "forks"))
		forks(times);
	else if (!strcmp(word, "nest"))
		times = nest(times);
	else if (!strcmp(word, "both"))
		both();
}

int main(int argc, char **argv)
{
	char line[4096];

	for (int i = 1; i < argc; i++) {
		snprintf(line, sizeof line, "%s", argv[i]);
		one(line);
	}
	return 0;
}
