/* Texts in user memory, reached in every way that a probe can reach them. COUNT rounds; the text of
 * round I is "text-I", and its length is passed along.
 *
 * USDT notes are written here by hand, as <sys/sdt.h> would: that header is not on every machine.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "usdt_note.h"

/* What a program keeps as numbers may be addresses too. */
struct holder {
	uint64_t length;
	uint64_t address;
};

__attribute__((noinline)) char *give(char *text)
{
	__asm__ volatile("" ::: "memory");
	return text;
}

__attribute__((noinline)) long take(struct holder *holder)
{
	__asm__ volatile("" ::: "memory");
	return (long)holder->length;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1;
	for (long i = 0; i < count; i++) {
		char text[32];
		struct holder holder;
		holder.length = (uint64_t)snprintf(text, sizeof text, "text-%ld", i);
		holder.address = (uintptr_t)text;
		USDT_NOTE("texts", "text", "8@%0 -4@%1", "r"(text), "r"((int)-i));
		USDT_NOTE("texts", "glob_one", "8@%0", "r"(text));
		USDT_NOTE("texts", "glob_two", "8@%0", "r"(text));
		give(text);
		take(&holder);
		prctl(PR_SET_NAME, text);
	}
	return 0;
}
