/* What a process holds of memory once it has started. */
#pragma once

/* Gives back what only the start needed: heap that is free again, and pages of code and constants,
 * of the program and its libraries. These are unlocked, too, where mlockall() has locked them: there
 * is no secret in them, and the kernel has them in a file. What is needed again comes back by itself,
 * 64 KiB at a time. To be called once, when there is time. Fails at nothing. */
void memory_give_back(void);
