/* Two versions of one function. */
__attribute__((noinline)) long versioned_1(long v)
{
	__asm__ volatile("");
	return v + 1;
}

__attribute__((noinline)) long versioned_2(long v)
{
	__asm__ volatile("");
	return v + 2;
}

__asm__(".symver versioned_1,versioned@V1");
__asm__(".symver versioned_2,versioned@@V2");
