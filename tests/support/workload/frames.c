/* Calls that nest, and calls that end without a return.
 *
 * frames count N    count(N), which calls count(N - 1) and so on to count(0); count(n) is n
 * frames fib N      fib(N)
 * frames jump N     hop(i) for i from 1 to N, by way of try(i): odd ones leave by longjmp
 * frames pass N     even(N), which jumps to odd(N - 1) at its end, and so on; 7 at last
 * frames held N     N threads in hold(), in which the process ends
 * frames waves N    ten times one after the other N processes, each of which ends inside hold()
 * frames exec N     replace(i) in a separate process for i from 1 to N: it becomes /bin/true
 * frames raise N    N signals, each handled
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBED __attribute__((noipa))

static jmp_buf back;
static pthread_barrier_t all;

#define CALLED(n) __asm__ volatile("" : "+r"(n)) /* no loop is made of the recursion */

PROBED long count(long n)
{
	long below = n ? count(n - 1) + 1 : 0;

	CALLED(below);
	return below;
}
PROBED long fib(long n)
{
	long sum = n < 2 ? n : fib(n - 1) + fib(n - 2);

	CALLED(sum);
	return sum;
}
PROBED long hop(long n)
{
	if (n & 1)
		longjmp(back, 1);
	return n;
}
PROBED long try(long n) { return setjmp(back) ? -n : hop(n); }
PROBED long odd(long n);
PROBED long even(long n) { return n ? odd(n - 1) : 7; }
PROBED long odd(long n) { return n ? even(n - 1) : 7; }
PROBED long hold(long n)
{
	pthread_barrier_wait(&all);
	pause();
	return n;
}
PROBED long replace(long n)
{
	execl("/bin/true", "true", NULL);
	return n;
}

static void *held(void *n)
{
	hold((long)n);
	return n;
}

static void hold_all(long n)
{
	pthread_t one;

	pthread_barrier_init(&all, NULL, n + 1);
	for (long i = 0; i < n; i++)
		pthread_create(&one, NULL, held, (void *)i);
	pthread_barrier_wait(&all);
}

static void handled(int number) { (void)number; }

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[1] : "";
	long n = argc == 3 ? atol(argv[2]) : 0;

	if (!strcmp(mode, "count"))
		return count(n) != n;
	if (!strcmp(mode, "fib"))
		return fib(n) < 0;
	if (!strcmp(mode, "pass"))
		return even(n) != 7;
	if (!strcmp(mode, "jump"))
		for (long i = 1; i <= n; i++)
			try(i);
	if (!strcmp(mode, "held"))
		hold_all(n);
	if (!strcmp(mode, "waves"))
		for (int wave = 0; wave < 10; wave++) {
			if (fork() == 0) {
				hold_all(n);
				_exit(0);
			}
			wait(NULL);
		}
	if (!strcmp(mode, "exec"))
		for (long i = 1; i <= n; i++) {
			if (fork() == 0)
				_exit((int)replace(i));
			wait(NULL);
		}
	signal(SIGUSR1, handled);
	if (!strcmp(mode, "raise"))
		for (long i = 0; i < n; i++)
			raise(SIGUSR1);
	return 0;
}
