/* A USDT probe of version 3 without its semaphore, as systemtap's sys/sdt.h makes it: a nop and a
 * note with the place and the arguments in the assembler's spelling. */
#pragma once

#define USDT_NOTE(provider, name, operands, ...)                                                   \
	__asm__ volatile("990: nop\n"                                                              \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                              \
			 ".balign 4\n"                                                             \
			 ".4byte 992f-991f, 994f-993f, 3\n"                                        \
			 "991: .asciz \"stapsdt\"\n"                                               \
			 "992: .balign 4\n"                                                        \
			 "993: .8byte 990b, 0, 0\n"                                                \
			 ".asciz \"" provider "\"\n"                                               \
			 ".asciz \"" name "\"\n"                                                   \
			 ".asciz \"" operands "\"\n"                                               \
			 "994: .balign 4\n"                                                        \
			 ".popsection\n" ::__VA_ARGS__)
