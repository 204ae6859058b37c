/* Workloads whose stacks are known, for the plans that report stacks: `recipes NAME`.
 *
 *   heap-outstanding   memory that is kept, by a function each, and memory that is given back
 *   cpu-stacks         CPU time by one function, three times as much by another
 *   stack-counts       getppid 70 times by one way, 30 times by another
 *   off-cpu-time       20 sleeps of 12 ms by one function, 5 of 45 ms by another
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone))

static void *volatile kept; /* so that no allocation is left out */

static void nap(long milliseconds)
{
	struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
	nanosleep(&time, 0);
}

KEPT void by_malloc(void)
{
	for (int i = 0; i < 200; i++)
		kept = malloc(1000);
}

KEPT void by_calloc(void)
{
	for (int i = 0; i < 50; i++)
		kept = calloc(10, 77);
}

/* The old memory is given back, the new one counts. Each of two is in the other's way, so that it
 * has to move. */
KEPT void by_realloc(void)
{
	void *one = malloc(10), *other = malloc(10);
	for (int i = 1; i <= 20; i++) {
		kept = one = realloc(one, i * 1000);
		kept = other = realloc(other, i * 1000);
	}
}

KEPT void by_aligned(void)
{
	void *made;
	for (int i = 0; i < 30; i++)
		kept = posix_memalign(&made, 64, 333) ? 0 : made;
	for (int i = 0; i < 20; i++)
		kept = aligned_alloc(64, 640);
}

KEPT void by_tidy(void)
{
	for (int i = 0; i < 500; i++) {
		kept = malloc(5000);
		free(kept);
	}
}

KEPT double spend(double seconds)
{
	struct timespec now, since;
	double spent = 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &since);
	while (spent < seconds) {
		for (volatile int i = 0; i < 100000; i++)
			;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
		spent = now.tv_sec - since.tv_sec + (now.tv_nsec - since.tv_nsec) / 1e9;
	}
	return spent;
}

KEPT int little(void)
{
	return spend(0.5) < 0;
}

KEPT int much(void)
{
	return spend(1.5) < 0;
}

/* A system call without the C library in between, whose functions have no frames. `frame`: a leaf has
 * one only if it is asked for. */
static inline __attribute__((always_inline)) long call(long number, const void *first, void *frame)
{
#if defined(__x86_64__)
	long result;
	register long second __asm__("rsi") = 0;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(first), "r"(second), "r"(frame)
			 : "rcx", "r11", "memory");
	return result;
#else
	register long result __asm__("x0") = (long)first, second __asm__("x1") = 0;
	register long called __asm__("x8") = number;
	__asm__ volatile("svc 0" : "+r"(result) : "r"(second), "r"(called), "r"(frame) : "memory");
	return result;
#endif
}

KEPT int ask(void)
{
	return call(SYS_getppid, 0, __builtin_frame_address(0)) < 0;
}

KEPT int often(void)
{
	int sum = 0;
	for (int i = 0; i < 70; i++)
		sum += ask();
	return sum;
}

KEPT int seldom(void)
{
	int sum = 0;
	for (int i = 0; i < 30; i++)
		sum += ask();
	return sum;
}

KEPT int sleep_for(long milliseconds)
{
	struct timespec time = {0, milliseconds * 1000000};
	return call(SYS_nanosleep, &time, __builtin_frame_address(0)) < 0;
}

KEPT int short_naps(void)
{
	int sum = 0;
	for (int i = 0; i < 20; i++)
		sum += sleep_for(12);
	return sum;
}

KEPT int long_naps(void)
{
	int sum = 0;
	for (int i = 0; i < 5; i++)
		sum += sleep_for(45);
	return sum;
}

int main(int argc, char **argv)
{
	int bad = argc != 2;

	if (!bad && !strcmp(argv[1], "heap-outstanding")) {
		by_malloc();
		by_calloc();
		by_realloc();
		by_aligned();
		by_tidy();
	} else if (!bad && !strcmp(argv[1], "cpu-stacks")) {
		bad = little() + much();
	} else if (!bad && !strcmp(argv[1], "stack-counts")) {
		bad = often() + seldom();
	} else if (!bad && !strcmp(argv[1], "off-cpu-time")) {
		bad = short_naps() + long_naps();
	} else {
		bad = 1;
	}
	nap(1500); /* names are looked up while the process lives */
	return bad;
}
