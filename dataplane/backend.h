/* What a back end of dataplane/dataplane.h is made of. */
#pragma once

#include "dataplane/dataplane.h"

#include <net/if.h>

typedef struct DataPlaneBackend {
    const char *name;
    bool keeps_keys;
    /* As the functions of the same name in dataplane.h. `open` allocates; *ret begins with
     * DataPlane. */
    int (*open)(const DataPlaneOptions *options, DataPlane **ret, char *error);
    void (*close)(DataPlane *plane);
    int (*add_sa)(DataPlane *plane, const SaConfig *config, const InnerAddress *addresses,
                  size_t n_addresses);
    int (*remove_sa)(DataPlane *plane, uint32_t spi_in);
    int (*sa_counters)(DataPlane *plane, uint32_t spi_in, SaCounters *ret);
    int (*counters)(DataPlane *plane, DataPlaneCounters *ret);
} DataPlaneBackend;

struct DataPlane {
    const DataPlaneBackend *backend;
    char interface[IF_NAMESIZE];
    sd_event *event; /* borrowed */
    DataPlaneCallback callback;
    void *userdata;
};

extern const DataPlaneBackend DATAPLANE_BACKEND_NONE;
extern const DataPlaneBackend DATAPLANE_BACKEND_USER;
extern const DataPlaneBackend DATAPLANE_BACKEND_KERNEL;

/* Fills the common part in from the options. */
void dataplane_init(DataPlane *plane, const DataPlaneBackend *backend,
                    const DataPlaneOptions *options);

/* Writes the sentence for the person (DATAPLANE_ERROR_SIZE octets) and passes `r` on. */
int dataplane_fail(char *error, int r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for an error of the network configuration around `interface`. */
int dataplane_fail_network(char *error, int r, const char *interface);
