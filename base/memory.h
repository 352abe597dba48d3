/* Memory that is not swapped out. */
#pragma once

/* Locks what this process has and will have, but for code and constants, where no limit is in the
 * way: else a line says that it is not. A capability that permits it
 * is given up before, or never. Keys live in the secure heap, which is locked by itself;
 * this is for what libraries copy to stack and heap. */
void memory_lock_all(void);
