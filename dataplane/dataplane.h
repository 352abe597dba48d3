/* What tred asks for its tunnels: network interfaces with the assigned inner addresses, and
 * pairs of ESP SAs behind them. tred-net and tred-esp do it; what is here gives them orders and
 * waits for none. */
#pragma once

#include "base/reason.h"
#include "dataplane/order.h"
#include "dataplane/transport.h"

#include <systemd/sd-event.h>

#define TRED_NET_SOCKET "/run/tred-net.socket" /* tred-net.socket's */

typedef struct DataPlane DataPlane;

typedef struct DataPlaneCallbacks {
    /* What has become of an SA pair. */
    void (*event)(const DataPlaneEvent *event, void *userdata);
    /* The plane has failed: every SA is gone. It is opened again by itself, again and again. */
    void (*lost)(const char *reason, void *userdata);
    /* It is open again. */
    void (*opened)(void *userdata);
    void *userdata;
} DataPlaneCallbacks;

typedef struct DataPlaneOptions {
    DataPlaneMode mode;
    InterfaceNames interfaces; /* valid names: "segw0" */
    const char *net_socket;    /* where tred-net listens */
    const char *net_program;   /* or tred-net's path, to start one of one's own; else NULL */
    const char *esp_program;   /* absolute path of tred-esp */
    bool copy_dscp, ecn;       /* of every SA, as SaOrder has them */
    const ProtectOrder
        *protect;    /* `interfaces` is filled in; NULL: whatever rules there are stay */
    sd_event *event; /* may be NULL for DATAPLANE_NONE */
    DataPlaneCallbacks callbacks;
} DataPlaneOptions;

/* Opens a plane, and clears what the last one left behind; with _AUTO
 * tred-net decides which. Runs the event loop until it is open (a start has nobody else to serve).
 * `options` with what it points to must outlive it. Returns 0, or -errno with `reason` saying what
 * was found and what to do. */
int dataplane_open(const DataPlaneOptions *options, DataPlane **ret, Reason *reason);

/* The same in two steps: what is done between them is done while the helpers start. A plane that
 * dataplane_await() fails with is still for dataplane_close(). */
int dataplane_begin(const DataPlaneOptions *options, DataPlane **ret, Reason *reason);
int dataplane_await(DataPlane *plane, Reason *reason);

/* Removes every SA, route, address and interface that it made. SAs under way are answered with
 * -ECANCELED. */
void dataplane_close(DataPlane *plane);
DEFINE_POINTER_CLEANUP(DataPlane, dataplane_close);

/* Says that no traffic is to be protected any more, as this process is stopped and not restarted.
 * Without it, dataplane_close() leaves the rules of `protect` in force. */
void dataplane_unprotect(DataPlane *plane);

/* "kernel", "user" or "none": what it was opened as, and is opened as again. */
const char *dataplane_name(const DataPlane *plane);

/* The name of the interface at that place in the options; "" where nothing carries traffic. */
const char *dataplane_interface(const DataPlane *plane, size_t place);

/* True if the plane holds an SA's keys itself, so that the caller's have no use after
 * dataplane_add_sa(). */
bool dataplane_keeps_keys(const DataPlane *plane);

/* True unless it can't send by another pair of SAs for a packet's DSCP (SaOrder's `dscps`): the
 * kernel's policies know none. */
bool dataplane_knows_dscps(const DataPlane *plane);

/* How long one pair of SAs is used (RFC 4301 4.4.2.1, RFC 7296 2.8).
 *
Without ESN there are 2^32 sequence numbers, and none is used twice (RFC 4303 3.3.3): an SA ends
 * before them, and is due to be replaced an eighth before. */
#define LIFETIME_NUMBERS_HARD ((UINT64_C(1) << 32) - (UINT64_C(1) << 20))
#define LIFETIME_NUMBERS_SOFT ((UINT64_C(1) << 32) / 8 * 7)

enum { LIFETIME_JITTER = 10 }; /* a soft limit is earlier by up to one part of so many */

/* Turns the limits that are set for all pairs into those of one. Without `esn` they count packets
 * in any case. Soft ones become earlier by what `random`, a number of 64 random bits, says: two
 * peers with the same limits do not replace one pair at the same time then, nor one peer all of its
 * pairs. */
void lifetime_settle(Lifetime *soft, Lifetime *hard, bool esn, uint64_t random);

/* Once for each SA that is added: 0, -EOPNOTSUPP (this plane can't carry it), -ECONNRESET (the
 * plane was lost), -ECANCELED (it was removed meanwhile), or another -errno of whoever refused it;
 * no trace of it is left then. `why` is what the helper has to say of it, or "". It must not close
 * the plane. */
typedef void (*SaAdded)(int error, const char *why, void *userdata);

/* Adds a pair of SAs. All pairs receive. A packet is sent by a pair whose selectors take it in, of
 * several by one that is named for its DSCP, or else one that is named for none; of those by one
 * with the narrowest selectors; of those by the newest that is not in standby, and where there is
 * no such pair, by the oldest one in standby. The first pair of an interface brings that up, with
 * the addresses, a route for each selector of ts_remote, and an MTU for which the ESP packet fits
 * the path; a later one adds what it brings along. `sa` and its keys are borrowed for the call (its
 * `mtu`, `copy_dscp`, `ecn`, `transport` and, where it is not known, `local` are filled in here,
 * and its limits settled: lifetime_settle()); `transport` must outlive the SA, and is NULL without
 * encapsulation. Returns 0: `added` is called, for DATAPLANE_NONE before this returns; or, and then
 * it is not called, -EEXIST (spi_in is in use), -ENOSPC (DATAPLANE_SAS_MAX), -EOPNOTSUPP, -ENOTCONN
 * (the plane is lost), or another -errno. */
int dataplane_add_sa(DataPlane *plane, const SaOrder *sa, const Transport *transport, SaAdded added,
                     void *userdata);

/* Has a pair removed and its keys wiped. An interface's last one takes addresses, routes and the
 * interface with it. Nothing of it can be told from here on. Returns 0 or -ENOENT. */
int dataplane_remove_sa(DataPlane *plane, uint32_t spi_in);

/* Once for each dataplane_use_sa(): 0, when all that leaves the host from here on leaves by that
 * pair; or -errno as for SaAdded. It must not close the plane. */
typedef void (*SaUsed)(int error, const char *why, void *userdata);

/* Has a pair send from now on what its selectors take in, as if it were the newest (RFC 7296 2.8:
 * after a rekey, once the peer is known to receive). Whoever tells the peer that the pair before is
 * not used any more waits for `used`, which may be NULL; a pair that can't send is told as
 * DATAPLANE_POLICY_GONE, too. Returns 0: `used` is called, for DATAPLANE_NONE before this returns;
 * or, and then it is not called, -ENOENT, -EBUSY (it is on its way to be used), or -ENOTCONN (the
 * plane is lost). */
int dataplane_use_sa(DataPlane *plane, uint32_t spi_in, SaUsed used, void *userdata);

/* Once for each dataplane_move_sas(): 0, or the first pair's -errno with what the helper has to say
 * of it, or "". With an error the pairs are at one place or the other, or carry nothing any more:
 * they are to be removed. It must not close the plane. */
typedef void (*SasMoved)(int error, const char *why, void *userdata);

/* Has all pairs of `from` go over `to`, to the SeGW's address `remote`, with the keys, sequence
 * numbers and replay windows that they have (RFC 4555 3.5); `to` may be `from`, where the SeGW's
 * address alone is another. What is under way to the old address is received for two seconds more
 * in the user plane; in the kernel's it is lost, as one window against replay can't be in two
 * states. `to` must outlive the pairs, and `from` until `moved` is called; a pair that is removed
 * meanwhile has moved with -ECANCELED. Returns 0: `moved` is called, before this returns where
 * there is nothing to move; or, and then it is not called and nothing has changed, -EBUSY (a pair
 * is on its way already), -EOPNOTSUPP (the user plane can't do without encapsulation), -ENOTCONN
 * (the plane is lost), -ENOSPC, -ENOMEM, or another -errno of looking the way up. */
int dataplane_move_sas(DataPlane *plane, const Transport *from, const Transport *to,
                       const struct sockaddr_storage *remote, bool udp_encapsulated, SasMoved moved,
                       void *userdata);

/* Asks what all SAs, and the rules that protect the tunnel, have counted; `counted` is called once,
 * or not at all if the plane is lost or closed before. Returns 0, or -ENOTCONN, or -EBUSY if it was
 * asked and has not answered yet. */
typedef void (*DataPlaneCounted)(void *userdata);
int dataplane_count(DataPlane *plane, DataPlaneCounted counted, void *userdata);

/* The sum of what all SAs have counted that there are (as it last came) and that there were; no
 * counter of it ever steps back, and how long an SA was idle is 0. */
void dataplane_totals(const DataPlane *plane, SaCounters *ret);

/* After how many seconds a pair is due to be replaced, its share of chance included; 0: no limit,
 * or no such pair. */
uint64_t dataplane_sa_soft_seconds(const DataPlane *plane, uint32_t spi_in);

/* What was counted then. Returns 0 or -ENOENT. */
int dataplane_sa_counters(const DataPlane *plane, uint32_t spi_in, SaCounters *ret);

/* What no SA counts, likewise, of every tred-esp that there was. Returns 0, or -ENODATA where the
 * kernel counts these, for the whole host (/proc/net/xfrm_stat), or there is no data plane. */
int dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret);

/* Likewise, over all tunnels since the rules were first put in force. */
void dataplane_protection_counters(const DataPlane *plane, ProtectionCounters *ret);
