/* What database servers offer to probes, by the same names, with the same arguments: each function
 * does nothing but take as long as it is asked to. The drills ask the servers themselves. */
#include <time.h>

#define TAKEN __attribute__((noinline, visibility("default")))

static void rest(long us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    if (us)
        nanosleep(&time, 0);
}

/* Redis: a client, the words of a command, how many, and the microseconds that it took. */
TAKEN void slowlogPushEntryIfNeeded(void *client, void **words, int count, long long took)
{
    __asm__ volatile("" ::"r"(client), "r"(words), "r"(count), "r"(took));
}

/* PostgreSQL: a state, and the text of the query, which idle states have not. */
TAKEN void pgstat_report_activity(int state, const char *text)
{
    __asm__ volatile("" ::"r"(state), "r"(text));
}

struct lock_tag {
    unsigned field1, field2, field3;
    unsigned short field4;
    unsigned char type, method;
};

/* PostgreSQL: waits for a lock. */
TAKEN int ProcSleep(struct lock_tag *lock, long us)
{
    __asm__ volatile("" ::"r"(lock));
    rest(us);
    return 0;
}

/* MariaDB: one command of a session, and the end of it. */
TAKEN void _Z18log_slow_statementP3THD(void *session)
{
    __asm__ volatile("" ::"r"(session));
}

TAKEN int _Z16dispatch_command19enum_server_commandP3THDPcjb(int command, void *session, char *packet,
                                                               unsigned length, long us)
{
    __asm__ volatile("" ::"r"(command), "r"(packet), "r"(length));
    rest(us);
    _Z18log_slow_statementP3THD(session);
    return 0;
}
