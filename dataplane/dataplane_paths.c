/* Where the data plane's ESP packets go: the sockets that tred-esp or the kernel has for them, and
 * the way to the SeGW. */
#include "dataplane/dataplane_internal.h"
#include "dataplane/espsize.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>

enum { UDP_HEADER_SIZE = 8 };

static PlaneTransport *transport_find(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_transports; i++) {
        if (plane->transports[i].transport == transport)
            return &plane->transports[i];
    }
    return NULL;
}

void plane_transport_release(DataPlane *plane, const Transport *transport)
{
    for (size_t i = 0; i < plane->n_sas; i++) {
        if (plane->sas[i].transport == transport)
            return;
    }
    PlaneTransport *unused = transport_find(plane, transport);
    if (!unused)
        return;
    order_link_give(plane->esp, &(Order){.type = ORDER_CLOSE_TRANSPORT, .id = unused->id}, -1,
                    order_link_deadline(), NULL, 0, NULL);
    *unused = plane->transports[--plane->n_transports];
}

static int set_gro(const Transport *transport, int joined)
{
    return setsockopt(transport->esp_fd, SOL_UDP, UDP_GRO, &joined, sizeof(joined)) < 0 ? -errno
                                                                                        : 0;
}

int plane_transport_open(DataPlane *plane, const Transport *transport, uint64_t deadline,
                         uint32_t *ret_id)
{
    const PlaneTransport *known = transport_find(plane, transport);
    if (known) {
        *ret_id = known->id;
        return 0;
    }
    if (plane->n_transports == DATAPLANE_TRANSPORTS_MAX)
        return -ENOSPC;
    int r = set_gro(transport, 1); /* several datagrams in one read */
    if (r >= 0)
        r = transport_show_ecn(transport);
    if (r < 0)
        return r;
    *ret_id = ++plane->last_transport_id;
    plane->transports[plane->n_transports++] = (PlaneTransport){*ret_id, transport};
    order_link_give(plane->esp, &(Order){.type = ORDER_OPEN_TRANSPORT, .id = *ret_id},
                    transport->esp_fd, deadline, NULL, 0, NULL);
    return 0;
}

int plane_transport_divert(const Transport *transport)
{
    int encapsulation = UDP_ENCAP_ESPINUDP;
    int r = set_gro(transport, 0); /* datagrams joined by GRO would be decapsulated as one */
    if (r >= 0 && setsockopt(transport->esp_fd, SOL_UDP, UDP_ENCAP, &encapsulation,
                             sizeof(encapsulation)) < 0)
        r = -errno;
    return r;
}

int plane_path_complete(SaPath *path, const EspSuite *suite)
{
    if (path->local.ss_family == AF_UNSPEC)
        path->local.ss_family = path->remote.ss_family;
    int r = transport_source(&path->local, &path->remote);
    int room = r < 0 ? r : transport_payload_max(&path->remote);
    if (room < 0)
        return room;
    if (!path->udp_encapsulated)
        room += UDP_HEADER_SIZE;
    size_t mtu = esp_inner_max(suite, (size_t)room);
    path->mtu = mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
    return 0;
}
