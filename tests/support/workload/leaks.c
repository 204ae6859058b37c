/* Allocates 100 bytes argv[1] times, and keeps the first argv[2] of them. */
#include <stdlib.h>

int main(int argc, char **argv)
{
	int n = atoi(argv[1]), kept = atoi(argv[2]);
	for (int i = 0; i < n; i++) {
		volatile char *bytes = malloc(100);
		bytes[0] = 1;
		if (i >= kept)
			free((void *)bytes);
	}
	return argc > 3 ? argc : 0;
}
