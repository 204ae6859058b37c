/* Does a known number of everything: N calls of step and of getppid, writes of 1 to N bytes to /dev/null, one
 * open, and a child that calls getppid N times. argv[1]: N; argv[2]: seconds to sleep at the end;
 * argv[3]: exit code. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char bytes[1 << 16];

__attribute__((noinline)) int step(int i)
{
	__asm__ volatile("");
	return syscall(SYS_getppid) + i;
}

int main(int argc, char **argv)
{
	int n = atoi(argv[1]);
	int file = open("/dev/null", O_WRONLY);
	for (int i = 1; i <= n; i++) {
		step(i);
		if (write(file, bytes, i) != i)
			return 1;
	}
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < n; i++)
			syscall(SYS_getppid);
		_exit(0);
	}
	waitpid(child, 0, 0);
	if (argc > 2)
		sleep(atoi(argv[2]));
	return argc > 3 ? atoi(argv[3]) : 0;
}
