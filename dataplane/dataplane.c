/* Which data plane is it, and what does it do without one? */
#include "dataplane/backend.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void dataplane_init(DataPlane *plane, const DataPlaneBackend *backend,
                    const DataPlaneOptions *options)
{
    *plane = (DataPlane){
        .backend = backend,
        .event = options->event,
        .callback = options->callback,
        .userdata = options->userdata,
    };
    (void)snprintf(plane->interface, sizeof(plane->interface), "%s", options->interface);
}

int dataplane_fail(char *error, int r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error, DATAPLANE_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return r;
}

int dataplane_fail_network(char *error, int r, const char *interface)
{
    switch (r) {
    case -EEXIST:
        return dataplane_fail(
            error, r,
            "There is an interface %s that tred did not make. Remove it, or choose another name.",
            interface);
    case -EPERM:
        return dataplane_fail(
            error, r,
            "The network can't be configured: CAP_NET_ADMIN is missing. Start tred by its unit.");
    default:
        return dataplane_fail(error, r, "The network can't be configured: %s.", strerror(-r));
    }
}

/* The kernel's plane where it can, else the user's. */
static int open_best(const DataPlaneOptions *options, DataPlane **ret, char *error)
{
    char kernel_error[DATAPLANE_ERROR_SIZE] = "", user_error[DATAPLANE_ERROR_SIZE] = "";
    int r = DATAPLANE_BACKEND_KERNEL.open(options, ret, kernel_error);
    if (r >= 0)
        return r;
    if (r != -EOPNOTSUPP)
        return dataplane_fail(error, r, "%s", kernel_error);
    r = DATAPLANE_BACKEND_USER.open(options, ret, user_error);
    if (r < 0)
        return dataplane_fail(error, r, "%s %s", kernel_error, user_error);
    return r;
}

int dataplane_open(const DataPlaneOptions *options, DataPlane **ret, char *error)
{
    size_t size = strlen(options->interface);
    if (size == 0 || size >= IF_NAMESIZE) {
        return dataplane_fail(error, -EINVAL,
                              "The interface name '%s' has not 1 to %d characters. Choose another.",
                              options->interface, IF_NAMESIZE - 1);
    }
    switch (options->mode) {
    case DATAPLANE_AUTO:
        return open_best(options, ret, error);
    case DATAPLANE_KERNEL:
        return DATAPLANE_BACKEND_KERNEL.open(options, ret, error);
    case DATAPLANE_USER:
        return DATAPLANE_BACKEND_USER.open(options, ret, error);
    case DATAPLANE_NONE:
        return DATAPLANE_BACKEND_NONE.open(options, ret, error);
    }
    return -EINVAL;
}

void dataplane_close(DataPlane *plane)
{
    if (plane)
        plane->backend->close(plane);
}

const char *dataplane_name(const DataPlane *plane)
{
    return plane->backend->name;
}

const char *dataplane_interface(const DataPlane *plane)
{
    return plane->interface;
}

bool dataplane_keeps_keys(const DataPlane *plane)
{
    return plane->backend->keeps_keys;
}

int dataplane_add_sa(DataPlane *plane, const SaConfig *config, const InnerAddress *addresses,
                     size_t n_addresses)
{
    return plane->backend->add_sa(plane, config, addresses, n_addresses);
}

int dataplane_remove_sa(DataPlane *plane, uint32_t spi_in)
{
    return plane->backend->remove_sa(plane, spi_in);
}

int dataplane_sa_counters(DataPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    return plane->backend->sa_counters(plane, spi_in, ret);
}

int dataplane_counters(DataPlane *plane, DataPlaneCounters *ret)
{
    return plane->backend->counters(plane, ret);
}
