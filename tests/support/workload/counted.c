/* Page faults and context switches in known numbers, each under a name of its task.
 *
 * counted PAGES SLEEPS FILE   under the name "touching" it touches so many pages for the first time,
 *                             under "sleeping" it sleeps so often. FILE gets the context switches
 *                             of the second, by getrusage(2).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

static volatile char *fresh(long pages)
{
	char *at = mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(at, pages * 4096, MADV_NOHUGEPAGE);
	return at;
}

static void touch(volatile char *at, long pages)
{
	for (long page = 0; page < pages; page++)
		at[page * 4096] = 1;
}

static long switches(void)
{
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	return used.ru_nvcsw + used.ru_nivcsw;
}

static long part(const char *name, volatile char *at, long pages, long sleeps)
{
	struct timespec pause = {0, 1000000};
	prctl(PR_SET_NAME, name);
	long before = switches();
	touch(at, pages);
	for (long count = 0; count < sleeps; count++)
		nanosleep(&pause, 0);
	long after = switches();
	prctl(PR_SET_NAME, "other");
	return after - before;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	long pages = atol(argv[1]);
	volatile char *first = fresh(1), *at = fresh(pages);
	part("warming", first, 1, 1); /* what the program itself needs is there from now on */
	part("touching", at, pages, 0);
	long switched = part("sleeping", at, 0, atol(argv[2]));
	FILE *file = fopen(argv[3], "w");
	return file && fprintf(file, "%ld\n", switched) > 0 && fclose(file) == 0 ? 0 : 1;
}
