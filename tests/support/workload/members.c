/*
 * What plans name in a program that was built with -g: `./members N` calls each function N times,
 * and passes the two USDT probes N times. The values are in examples/peers' tests.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usdt_note.h"

struct foo {
	int32_t m, n;
	char name[10];
	struct foo *next;
};

struct grid {
	int32_t rows[4], cells[4];
};

struct bits {
	uint32_t a : 1, b : 3, c : 9;
};

__attribute__((noinline)) void take_struct(struct foo *foo)
{
	__asm__ volatile("" ::"r"(foo) : "memory");
}

__attribute__((noinline)) void take_array(int32_t *a, struct grid *b, int32_t **c)
{
	__asm__ volatile("" ::"r"(a), "r"(b), "r"(c) : "memory");
}

__attribute__((noinline)) void take_bits(struct bits *b)
{
	__asm__ volatile("" ::"r"(b) : "memory");
}

int main(int argc, char **argv)
{
	int32_t numbers[] = {10, 11, 12, 13}, others[] = {20, 21};
	int32_t *both[] = {numbers, others};
	struct grid grid = {{1, 2, 3, 4}, {5, 6, 7, 8}};
	struct bits bits = {1, 5, 300};
	struct foo last = {5, 6, "last", NULL}, second = {3, 4, "second", &last};
	struct foo first = {1, 2, "first", &second};
	const char *text = "a text";

	for (long i = 0; i < (argc > 1 ? atol(argv[1]) : 1); i++) {
		take_struct(&first);
		take_array(numbers, &grid, both);
		take_bits(&bits);
		USDT_NOTE("rt", "str", "8@%0 -4@%1", "r"(text), "r"((int)strlen(text)));
		USDT_NOTE("rt", "twelve",
			  "8@$1 8@$2 8@$3 8@$4 8@$5 8@$6 8@$7 8@$8 8@$9 8@$10 8@$11 8@$12");
	}
	return 0;
}
