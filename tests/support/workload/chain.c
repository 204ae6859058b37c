/* A workload of known call chains. It ends once the file UNTIL exists, so that it lives until its
 * memory map has been read.
 *
 *   chain UNTIL N M      getppid N times by main, outer, inner, and M times by main, other, inner
 *   deleted UNTIL N M    the same, its own file deleted before
 *   made UNTIL N         N times by code made at run time, which /tmp/perf-PID.map calls `jitted`
 *   ways UNTIL N         once by each of N different ways
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone))

KEPT long inner(void)
{
	long parent;
	void *frame = __builtin_frame_address(0); /* a leaf has one only if it is asked for */
	__asm__ volatile("syscall"
			 : "=a"(parent)
			 : "a"(SYS_getppid), "r"(frame)
			 : "rcx", "r11", "memory");
	return parent;
}

KEPT long outer(void)
{
	return inner() + 1;
}

KEPT long other(void)
{
	return inner() + 2;
}

KEPT long way(unsigned number, int left)
{
	if (left == 0)
		return inner();
	if (number & 1)
		return way(number >> 1, left - 1) + 1;
	return way(number >> 1, left - 1) + 2;
}

KEPT void made(int times)
{
	/* push rbp; mov rbp, rsp; mov eax, SYS_getppid; syscall; pop rbp; ret */
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xb8, SYS_getppid,
					     0,	   0,	 0,    0x0f, 0x05, 0x5d, 0xc3};
	char path[64];
	void *memory = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(memory, code, sizeof code);
	snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
	FILE *map = fopen(path, "w");
	fprintf(map, "%lx %zx jitted\n", (long)memory, sizeof code);
	fclose(map);
	for (int i = 0; i < times; i++)
		((long (*)(void))memory)();
}

int main(int argc, char **argv)
{
	const char *mode = argv[1], *until = argv[2];
	int first = atoi(argv[3]), second = argc > 4 ? atoi(argv[4]) : 0;
	long sum = 0;

	if (!strcmp(mode, "deleted"))
		unlink(argv[0]);
	if (!strcmp(mode, "made"))
		made(first);
	else if (!strcmp(mode, "ways"))
		for (int i = 0; i < first; i++)
			sum += way(i, 12);
	else {
		for (int i = 0; i < first; i++)
			sum += outer();
		for (int i = 0; i < second; i++)
			sum += other();
	}
	while (access(until, F_OK))
		usleep(1000);
	return sum == 1;
}
