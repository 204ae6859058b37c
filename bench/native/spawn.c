/* Starts a command from a small process, and reports what it used.
 *
 *   spawn FD CPU COMMAND [ARG ...]
 *
 * Writes to descriptor FD: "PID START_NS" (CLOCK_MONOTONIC, before the fork), and at the end
 * "STATUS USER_US SYSTEM_US PEAK_KB". Small, because a process begins with the peak of the one that
 * called execve (fs/exec.c, exec_mmap: setmax_mm_hiwater_rss), which would be the benchmark's own.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void become(int cpu, char **command)
{
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGINT, SIG_DFL);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof set, &set);
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

static long us(struct timeval t)
{
	return t.tv_sec * 1000000L + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct timespec start;
	struct rusage used;
	int status;

	if (argc < 4)
		return 2;
	int fd = atoi(argv[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	clock_gettime(CLOCK_MONOTONIC, &start);
	pid_t child = fork();
	if (child < 0) {
		perror("spawn: fork");
		return 1;
	}
	if (child == 0) {
		close(fd);
		become(atoi(argv[2]), argv + 3);
	}
	dprintf(fd, "%d %lld\n", child, (long long)start.tv_sec * 1000000000LL + start.tv_nsec);
	if (wait4(child, &status, 0, &used) != child)
		return 1;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	dprintf(fd, "%d %ld %ld %ld\n", code, us(used.ru_utime), us(used.ru_stime), used.ru_maxrss);
	return 0;
}
