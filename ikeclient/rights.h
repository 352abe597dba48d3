/* What this process may do: nothing but what any user may. */
#pragma once

/* Gives up every capability and the way back to one. 0 or a negative errno. */
int rights_drop(void);
