/* Telling tred, where it runs, that its files have changed. */
#pragma once

/* Has a tred that runs read its files again, and tells the person what it says then; one that does
 * not run is left alone. 0, or -errno after a complaint. */
int tred_reload(void);
