/* Structures, arrays and pointers in user memory, as a program passes them: COUNT calls of `take`, the
 * I-th with index I - 2, so that some are outside of the arrays.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "usdt_note.h"

#define SOLD(name, amount, values)                                                                 \
	USDT_NOTE("shop", "sold", "8@%0 -4@%1 8@%2", "r"(name), "r"(amount), "r"(values))

struct item {
	int32_t first;
	int32_t second;
	char name[10];
	struct item *next;
};

struct bag {
	int16_t few[4];
	struct item inner;
	uint32_t grid[2][3];
	struct item *all[2];
	unsigned low : 3, high : 5;
};

__attribute__((noinline)) long take(struct item *item, const int32_t *values, int index,
				    struct bag *bag)
{
	SOLD(item->name, item->first, values);
	__asm__ volatile("" ::"r"(item), "r"(values), "r"(index), "r"(bag) : "memory");
	return index;
}

int main(int argc, char **argv)
{
	struct item last = { 7, 8, "a\n\x1b[31mb\"", NULL };
	int32_t values[] = { 10, 20, 30, 40 };
	struct item item = { 0, -2, "first", &last };
	struct bag bag = {
		.few = { 1, 2, 3, -4 },
		.inner = { 5, 6, "in", &item },
		.grid = { { 1, 2, 3 }, { 4, 5, 6 } },
		.all = { &item, &last },
		.low = 5,
		.high = 17,
	};
	long count = argc > 1 ? atol(argv[1]) : 0, sum = 0;

	for (item.first = 0; item.first < count; item.first++) {
		sum += take(&item, values, item.first - 2, &bag);
		sum += getpriority(PRIO_PROCESS, 0);
	}
	return sum == 12345678;
}
