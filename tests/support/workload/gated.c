// gated READS FSYNCS OPENS EXECS: so many reads of 4 KiB, fsyncs, opens of /dev/null, and children
// that execute /bin/true. Works in the file `data` of its folder.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char page[4096];

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int file = open("data", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || write(file, page, sizeof page) != sizeof page) return 3;
    for (int n = atoi(argv[1]); n > 0; n--)
        if (pread(file, page, sizeof page, 0) != sizeof page) return 4;
    for (int n = atoi(argv[2]); n > 0; n--)
        if (fsync(file)) return 5;
    for (int n = atoi(argv[3]); n > 0; n--) close(open("/dev/null", O_RDONLY));
    for (int n = atoi(argv[4]); n > 0; n--) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)0);
            _exit(127);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status) return 6;
    }
    return 0;
}
