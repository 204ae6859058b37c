/* measured ADDS BYTES CALLS: so many additions, 200 reads of so many bytes, and so many calls of
 * getppid. PADDING bytes of code come before all of it, as in another build. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READS 200
#define TEXT(number) #number
#define SKIP(number) __asm__(".text\n.skip " TEXT(number) ", 0x90\n")

SKIP(PADDING);

static char bytes[1 << 20];

static void add(long times)
{
	volatile long sum = 0;
	while (times--)
		sum += times;
}

static void read_zeros(size_t size)
{
	int file = open("/dev/zero", O_RDONLY);
	for (int i = 0; i < READS; i++)
		if (read(file, bytes, size) != (ssize_t)size)
			exit(1);
	close(file);
}

int main(int count, char **words)
{
	if (count != 4)
		return 2;
	add(atol(words[1]));
	read_zeros(atol(words[2]));
	for (long i = atol(words[3]); i > 0; i--)
		syscall(SYS_getppid);
	return 0;
}
