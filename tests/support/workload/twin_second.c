__attribute__((noinline)) static long twin(long v)
{
	__asm__ volatile("" ::: "memory");
	return 2 * v;
}

long run_second(long n)
{
	long sum = 0;
	for (long i = 0; i < n; i++)
		sum += twin(i);
	return sum;
}
