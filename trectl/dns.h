/* trectl dns. */
#pragma once

/* Follows ikeclient until SIGTERM or SIGINT. Returns the exit status: 0, 69 the bus can't be
 * reached or is gone, 78 the configuration can't be used. */
int dns_main(int argc, char **argv);
