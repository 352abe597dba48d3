/* What is a tunnel without traffic? SAs that are agreed on and go nowhere: for tests of
 * authentication alone. */
#include "dataplane/backend.h"

#include <errno.h>

static int none_open(const DataPlaneOptions *options, DataPlane **ret, char *error)
{
    DataPlane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return dataplane_fail(error, -ENOMEM, "Out of memory.");
    dataplane_init(plane, &DATAPLANE_BACKEND_NONE, options);
    plane->interface[0] = '\0';
    *ret = plane;
    return 0;
}

static void none_close(DataPlane *plane)
{
    free(plane);
}

static int none_add_sa(DataPlane *plane, const SaConfig *config, const InnerAddress *addresses,
                       size_t n_addresses)
{
    (void)plane;
    (void)config;
    (void)addresses;
    (void)n_addresses;
    return 0;
}

static int none_remove_sa(DataPlane *plane, uint32_t spi_in)
{
    (void)plane;
    (void)spi_in;
    return 0;
}

static int none_sa_counters(DataPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    (void)plane;
    (void)spi_in;
    *ret = (SaCounters){};
    return 0;
}

static int none_counters(DataPlane *plane, DataPlaneCounters *ret)
{
    (void)plane;
    *ret = (DataPlaneCounters){};
    return 0;
}

const DataPlaneBackend DATAPLANE_BACKEND_NONE = {
    .name = "none",
    .open = none_open,
    .close = none_close,
    .add_sa = none_add_sa,
    .remove_sa = none_remove_sa,
    .sa_counters = none_sa_counters,
    .counters = none_counters,
};
