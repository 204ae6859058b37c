/* Two static functions of one name. twins FIRST SECOND: calls of each. */
#include <stdlib.h>

long run_first(long n), run_second(long n);

int main(int argc, char **argv)
{
	return argc < 3 || run_first(atol(argv[1])) + run_second(atol(argv[2])) < 0;
}
