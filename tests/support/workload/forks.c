/* forks N [CALLS]: N children, one after another, each of which calls getppid and ends; a few at a
 * time are alive. Prints nothing. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 8 };

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1, alive = 0;

	for (long i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid < 0)
			return 1;
		if (pid == 0) {
			syscall(SYS_getppid);
			_exit(0);
		}
		if (++alive == AT_ONCE) {
			wait(NULL);
			alive--;
		}
	}
	while (wait(NULL) > 0)
		;
	return 0;
}
