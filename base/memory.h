/* What a process holds of memory once it has started. */
#pragma once

/* Gives back what only the start needed: heap that is free again, and pages of code and constants,
 * of the program and its libraries, unless they are locked. What is needed of these again comes
 * back by itself. To be called once, when there is time. Fails at nothing; calls madvise(), brk()
 * and munmap() alone. */
void memory_give_back(void);

/* After mlockall(): unlocks the code and constants of what is loaded. They hold no secret, and the
 * kernel has them in files. */
void memory_unlock_code(void);
