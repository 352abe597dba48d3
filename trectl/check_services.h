/* trectl doctor: whether the services run, and where one does not, whether that is right. */
#pragma once

#include "trectl/check.h"

/* Whether tred runs, and what it says of itself. Returns true if it runs. */
bool check_daemon(const Findings *findings);

/* ikeclient's configuration at `path`, as its user meets it. */
void check_client_configuration(const Findings *findings, const char *path);

/* Whether ikeclient runs, and what it says of itself. */
void check_client(const Findings *findings);
