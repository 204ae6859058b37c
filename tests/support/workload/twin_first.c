__attribute__((noinline)) static long twin(long v)
{
	__asm__ volatile("");
	return v + 1;
}

long run_first(long n)
{
	long sum = 0;
	for (long i = 0; i < n; i++)
		sum += twin(i);
	return sum;
}
