/* A connection on the stage: what its tests begin and end with, and what it has told its owner. */
#pragma once

#include "ikeclient/connection.h"
#include "stage.h"

/* To be zeroed. */
typedef struct ConnectionTold {
    bool established, closed;
    unsigned times_established;
    const Connection *connection; /* to be set, to have its states noted */
    unsigned states;              /* a bit for each that it was in when a change was told */
} ConnectionTold;

/* A ConnectionTold is their userdata. */
extern const ConnectionHandlers connection_told_handlers;

/* The stage, and a configuration that leads to its SeGW and makes the offers that it knows. */
void connection_stage_setup(Stage *stage, Config *config);

/* Frees the connection, too. */
void connection_stage_teardown(Stage *stage, Config *config, Connection *connection);
