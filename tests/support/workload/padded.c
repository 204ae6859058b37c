/* A function, and one that fills the code before it with numbers, whose sum it checks. Exits with 0
 * if the sum is right. */
#include <unistd.h>

#define TIMES (PADDED ? 400 : 8)

__attribute__((noinline, aligned(16))) unsigned long sum(void)
{
	unsigned long value;
	__asm__ volatile("xor %%rdx, %%rdx\n.rept %c1\nadd $0x10909090, %%rdx\n.endr\nmov %%rdx, %0"
			 : "=r"(value) : "i"(TIMES) : "rdx");
	return value;
}

__attribute__((noinline, aligned(16))) long target(long n)
{
	__asm__ volatile("");
	return n + 1;
}

int main(void)
{
	return sum() != TIMES * 0x10909090UL || target(1) != 2;
}
