/* Calls of begin, middle, finish and drop in known numbers, for spans and what is outstanding.
 *
 * spans pairs N     begin(i), finish(i) for i from 1 to N
 * spans via N       begin(i), middle(i, 10 * i) if i is even, finish(i)
 * spans cancel N    begin(i), drop(i)
 * spans again N     begin(i), begin(i), finish(i)
 * spans nest D      begin(7) D times, each deeper than the one before, then finish(7, depth) as often
 * spans sums N      begin(i), middle(i, -i), i times step(i), finish(i); then step(0)
 * spans orphans N   finish(i)
 * spans open N      begin(i)
 * spans restart N   begin(1), then step(1) N times, then finish(1)
 *
 * With -w before the mode it waits for a line on standard input. It prints "done" at its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROBED __attribute__((noinline, noclone))

PROBED void begin(long key, long size) { __asm__ volatile("" : : "r"(key), "r"(size) : "memory"); }
PROBED void middle(long key, long value) { __asm__ volatile("" : : "r"(key), "r"(value) : "memory"); }
PROBED void finish(long key, long value)
{
	__asm__ volatile("" : : "r"(key), "r"(value), "r"(1) : "memory");
}
PROBED void drop(long key) { __asm__ volatile("" : : "r"(key), "r"(2) : "memory"); }
PROBED void step(long key) { __asm__ volatile("" : : "r"(key), "r"(3) : "memory"); }

static void nest(long depth)
{
	if (depth == 0)
		return;
	begin(7, depth);
	nest(depth - 1);
	finish(7, depth);
}

int main(int argc, char **argv)
{
	char line[8];
	int wait = argc > 1 && strcmp(argv[1], "-w") == 0;
	if (argc != 3 + wait)
		return 2;
	const char *mode = argv[1 + wait];
	long n = atol(argv[2 + wait]);
	if (wait && !fgets(line, sizeof line, stdin))
		return 3;
	if (strcmp(mode, "nest") == 0)
		nest(n);
	if (strcmp(mode, "restart") == 0)
		begin(1, 0);
	for (long i = 1; i <= n; i++) {
		if (strcmp(mode, "pairs") == 0) {
			begin(i, 2 * i);
			finish(i, i);
		} else if (strcmp(mode, "via") == 0) {
			begin(i, 2 * i);
			if (i % 2 == 0)
				middle(i, 10 * i);
			finish(i, i);
		} else if (strcmp(mode, "cancel") == 0) {
			begin(i, 0);
			drop(i);
		} else if (strcmp(mode, "again") == 0) {
			begin(i, 1);
			begin(i, 2);
			finish(i, i);
		} else if (strcmp(mode, "sums") == 0) {
			begin(i, 2 * i);
			middle(i, -i);
			for (long at = 0; at < i; at++)
				step(i);
			finish(i, i);
		} else if (strcmp(mode, "orphans") == 0) {
			finish(i, i);
		} else if (strcmp(mode, "open") == 0) {
			begin(i, 2 * i);
		} else if (strcmp(mode, "restart") == 0) {
			step(1);
		}
	}
	if (strcmp(mode, "restart") == 0)
		finish(1, 1);
	if (strcmp(mode, "sums") == 0)
		step(0);
	puts("done");
	return 0;
}
