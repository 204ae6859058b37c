/* A task that changes what it is, and makes a known number of calls. Each step does one thing and goes
 * on with the rest of the arguments:
 *
 *   getppid N            N getppid system calls
 *   name TEXT            takes this name (prctl)
 *   thread               goes on in a thread that does not lead the process; the leader waits
 *   execve, execveat     executes this program again, by that call
 *   fexecve              the same, by a descriptor (execveat with an empty path)
 *   become FILE          executes a file by a descriptor that stays open, as a script needs
 *   failing-exec         an execve and an execveat that fail
 *   forks N              N children, one after the other, which go on with the rest; then the end
 *   overlay-chmod        chmod of a file on overlayfs: notify_change calls itself
 *   set-clock S          sets the system's clock by so many seconds
 *   sleep MS             sleeps
 *   tid FILE             writes its thread's number into a file, which appears when it is whole
 *   wait FILE            waits until the file exists
 *   as TID               goes on as a child with this number (clone3, set_tid)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self;
static char **rest;

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		_exit(1);
	}
}

/* The arguments of the program that goes on with the rest. */
static char **arguments(void)
{
	rest[-1] = (char *)self;
	return rest - 1;
}

static void *run_rest(void *unused);

static void go_on_in_thread(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, run_rest, NULL) != 0, "pthread_create");
	for (;;)
		pause();
}

static void fail_to_execute(void)
{
	char *none[] = {NULL};

	execve("/no/such/program", none, none);
	syscall(SYS_execveat, AT_FDCWD, "/no/such/program", none, none, 0);
}

static void fork_children(long count)
{
	int status;

	for (long i = 0; i < count; i++) {
		pid_t child = fork();
		check(child < 0, "fork");
		if (child == 0)
			return;
		waitpid(child, &status, 0);
	}
	_exit(0);
}

/* In a mount namespace that goes with the process. */
static void chmod_on_overlay(void)
{
	const char *folders[] = {"/tmp/pl", "/tmp/pl/low", "/tmp/pl/up", "/tmp/pl/work", "/tmp/pl/all"};

	check(unshare(CLONE_NEWNS), "unshare");
	check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "make private");
	check(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "mount tmpfs");
	for (int i = 0; i < 5; i++)
		check(mkdir(folders[i], 0755), folders[i]);
	close(creat("/tmp/pl/low/file", 0600));
	check(mount("overlay", "/tmp/pl/all", "overlay", 0,
		    "lowerdir=/tmp/pl/low,upperdir=/tmp/pl/up,workdir=/tmp/pl/work"), "mount overlay");
	check(chmod("/tmp/pl/all/file", 0640), "copy up");
	prctl(PR_SET_NAME, "chmod");
	check(chmod("/tmp/pl/all/file", 0644), "chmod");
}

static void set_clock(long seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += seconds;
	check(clock_settime(CLOCK_REALTIME, &now), "clock_settime");
}

static void write_thread(const char *file)
{
	char name[4096];

	snprintf(name, sizeof name, "%s.new", file);
	FILE *out = fopen(name, "w");
	check(!out, name);
	fprintf(out, "%ld\n", syscall(SYS_gettid));
	fclose(out);
	check(rename(name, file), file);
}

static void sleep_ms(long ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

static void go_on_as(pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
	long child;
	int status = 0;

	/* A number is free once the kernel has let go of the task that had it. */
	while ((child = syscall(SYS_clone3, &args, sizeof args)) < 0 && errno == EEXIST)
		sleep_ms(1);
	check(child < 0, "clone3");
	if (child == 0)
		return;
	waitpid(child, &status, 0);
	_exit(status != 0);
}

static char *next(void)
{
	check(!*rest, "an argument is missing");
	return *rest++;
}

static void step(const char *word)
{
	char *none[] = {NULL};

	if (!strcmp(word, "getppid"))
		for (long i = atol(next()); i > 0; i--)
			syscall(SYS_getppid);
	else if (!strcmp(word, "name"))
		prctl(PR_SET_NAME, next());
	else if (!strcmp(word, "thread"))
		go_on_in_thread();
	else if (!strcmp(word, "execve"))
		check(execv(self, arguments()), word);
	else if (!strcmp(word, "execveat"))
		check(syscall(SYS_execveat, AT_FDCWD, self, arguments(), none, 0), word);
	else if (!strcmp(word, "fexecve"))
		check(fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments(), none), word);
	else if (!strcmp(word, "become")) {
		char *file = next();
		check(fexecve(open(file, O_RDONLY), arguments(), none), file);
	} else if (!strcmp(word, "failing-exec"))
		fail_to_execute();
	else if (!strcmp(word, "forks"))
		fork_children(atol(next()));
	else if (!strcmp(word, "overlay-chmod"))
		chmod_on_overlay();
	else if (!strcmp(word, "set-clock"))
		set_clock(atol(next()));
	else if (!strcmp(word, "sleep"))
		sleep_ms(atol(next()));
	else if (!strcmp(word, "tid"))
		write_thread(next());
	else if (!strcmp(word, "wait"))
		for (char *file = next(); access(file, F_OK);)
			sleep_ms(1);
	else if (!strcmp(word, "as"))
		go_on_as(atoi(next()));
	else
		check(1, word);
}

static void *run_rest(void *unused)
{
	while (*rest)
		step(*rest++);
	exit(0);
	return unused;
}

int main(int argc, char **argv)
{
	char path[4096];

	(void)argc;
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	check(length < 0, "readlink");
	path[length] = 0;
	self = path;
	rest = argv + 1;
	run_rest(NULL);
}
