/* Calls two versions of one function. versions OLD NEW: calls of each. */
#include <stdlib.h>

long versioned(long v), versioned_old(long v);
__asm__(".symver versioned_old,versioned@V1");

int main(int argc, char **argv)
{
	long sum = 0;
	for (long i = 0; argc > 2 && i < atol(argv[1]); i++)
		sum += versioned_old(i);
	for (long i = 0; argc > 2 && i < atol(argv[2]); i++)
		sum += versioned(i);
	return sum < 0;
}
