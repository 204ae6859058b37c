/* Functions that return what a plan learns from debug information: COUNT calls of each, the I-th with
 * the I-th item, whose value is I - 2. Built with -g, and so that `tint` is in two pieces.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum colour { RED = -1, GREEN = 2 };

struct item {
	int value;
	unsigned low : 3, high : 5;
	struct item *next;
};

static char texts[2][8]; /* written before they are returned, so that their page is in memory */

__attribute__((noinline, cold)) static void fail(int value)
{
	fprintf(stderr, "%d\n", value);
	exit(1);
}

__attribute__((noipa)) enum colour tint(void *cookie)
{
	struct item *item = cookie;

	if (item->value > 1000) {
		fail(item->value);
		abort();
	}
	return item->value < 0 ? RED : GREEN;
}

__attribute__((noipa)) int value(struct item *item)
{
	return item->value;
}

__attribute__((noipa)) bool positive(struct item *item)
{
	return item->value > 0;
}

__attribute__((noipa)) const char *text(struct item *item)
{
	return item->value < 0 ? texts[0] : texts[1];
}

__attribute__((noipa)) struct item *next(struct item *item)
{
	return item->next;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0, sum = 0;

	snprintf(texts[0], sizeof texts[0], "below");
	snprintf(texts[1], sizeof texts[1], "above");
	for (long i = 0; i < count; i++) {
		struct item last = { .value = 100 + i, .low = 7 };
		struct item item = { .value = i - 2, .low = 5, .high = 17, .next = &last };

		sum += tint(&item) + value(&item) + positive(&item) + *text(&item) + next(&item)->value;
	}
	return sum == 12345678;
}
