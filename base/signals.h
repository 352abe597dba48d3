/* The signals that end a tool. SIGINT, SIGTERM and SIGHUP end a tool, but not between two things
 * that belong together (a file and its rename, a TPM's object and its flush). SIGQUIT ends it at
 * any time. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* From now on the three are held back, until signals_release() with what was stored in `ret`; then
 * the process ends by the one that came meanwhile. May be nested. */
void signals_hold(sigset_t *ret);
void signals_release(const sigset_t *before);

/* For _cleanup_: releases at the end of a scope. */
static inline void signals_releasep(const sigset_t *before)
{
    signals_release(before);
}

/* What is held back now. */
void signals_current(sigset_t *ret);

/* True if one of the three has come while they are held: leave off. */
bool signals_waiting(void);
