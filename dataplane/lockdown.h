/* What tred-esp gives up before it reads its first order. */
#pragma once

/* Drops every capability and every way to get one back, leaves the file system, and lets the kernel
 * refuse all system calls but those that moving packets takes. Only descriptors 0-2 and `channel`
 * stay open. Returns 0 or -errno of the step that failed; the process must not go on then. */
int lockdown(int channel);
