/* Calls a function by two ways: argv[1] times by left, argv[2] times by right. */
#include <stdlib.h>

#define FUNCTION __attribute__((noinline, noclone)) int

FUNCTION act(int i)
{
	__asm__ volatile("");
	return i + 1;
}

FUNCTION between(int i)
{
	return act(i) + 1;
}

FUNCTION left(int i)
{
	return between(i) + 1;
}

FUNCTION right(int i)
{
	return between(i) + 2;
}

int main(int argc, char **argv)
{
	volatile int sum = 0;
	for (int i = atoi(argv[1]); i > 0; i--)
		sum += left(i);
	for (int i = atoi(argv[2]); i > 0; i--)
		sum += right(i);
	return argc > 3 ? sum : 0;
}
