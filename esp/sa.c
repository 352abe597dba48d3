/* An SA's numbers: which one a packet gets, whether one was seen before (a bitmap in a ring, so
 * that moving on shifts nothing), how far the SA can still count; and whether a packet may pass. */
#include "esp/sa.h"

#include "esp/esp.h"
#include "esp/packet.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

static uint64_t sequence_max(const SequenceCounter *counter)
{
    return counter->esn ? UINT64_MAX : UINT32_MAX;
}

bool sequence_is_used_up(const SequenceCounter *counter)
{
    return counter->last >= sequence_max(counter);
}

uint64_t sequence_next(SequenceCounter *counter)
{
    assert(!sequence_is_used_up(counter));
    return ++counter->last;
}

static uint64_t *word_of(ReplayWindow *window, uint64_t sequence)
{
    return &window->seen[(sequence / 64) % (REPLAY_WINDOW / 64)];
}

static uint64_t bit_of(uint64_t sequence)
{
    return UINT64_C(1) << (sequence % 64);
}

uint64_t replay_window_infer(const ReplayWindow *window, uint32_t low, bool esn)
{
    if (!esn)
        return low;
    /* RFC 4303 A2.2 in one rule: of the numbers with this low half, the first that is not left of
     * the window. Its lower edge is `highest - REPLAY_WINDOW + 1`, or 1 for a young SA. */
    uint64_t edge = window->highest < REPLAY_WINDOW ? 0 : window->highest - REPLAY_WINDOW + 1;
    uint64_t sequence = (edge & ~(uint64_t)UINT32_MAX) | low;
    if (sequence < edge && sequence >> 32 != UINT32_MAX)
        sequence += UINT64_C(1) << 32;
    return sequence;
}

bool replay_window_is_fresh(const ReplayWindow *window, uint64_t sequence)
{
    if (sequence == 0)
        return false; /* RFC 4303 2.2: the first packet has number 1 */
    if (sequence > window->highest)
        return true;
    if (window->highest - sequence >= REPLAY_WINDOW)
        return false;
    return (window->seen[(sequence / 64) % (REPLAY_WINDOW / 64)] & bit_of(sequence)) == 0;
}

void replay_window_mark(ReplayWindow *window, uint64_t sequence)
{
    if (sequence > window->highest) {
        if (sequence - window->highest >= REPLAY_WINDOW) {
            memset(window->seen, 0, sizeof(window->seen));
        } else {
            /* The numbers between were not seen; their bits still hold those a window before. */
            for (uint64_t skipped = window->highest + 1; skipped < sequence; skipped++)
                *word_of(window, skipped) &= ~bit_of(skipped);
        }
        window->highest = sequence;
    }
    *word_of(window, sequence) |= bit_of(sequence);
}

struct Sa {
    uint32_t spi_in;
    uint32_t transport;
    uint8_t interface;
    int fd;
    Esp *in;
    Esp *out;
    ReplayWindow window;
    SequenceCounter sequence;
    IkeTs ts_local;
    IkeTs ts_remote;
    struct sockaddr_storage remote;
    Lifetime soft;
    Lifetime hard;
    bool copy_dscp;
    bool ecn;
    bool standby;
    uint64_t dscps;
    bool soft_reported;
    bool hard_reported;
    uint64_t added_ms;
    uint64_t last_in_ms;
    uint64_t last_out_ms;
    SaCounters counters;
};

int sa_new(const SaOrder *order, int fd, uint64_t now_ms, Sa **ret)
{
    _cleanup_(sa_freep) Sa *sa = calloc(1, sizeof(*sa));
    if (!sa)
        return -ENOMEM;
    sa->spi_in = order->spi_in;
    sa->transport = order->transport;
    sa->interface = order->interface;
    sa->fd = fd;
    sa->sequence.esn = order->suite.esn;
    sa->ts_local = order->ts_local;
    sa->ts_remote = order->ts_remote;
    sa->remote = order->remote;
    sa->soft = order->soft;
    sa->hard = order->hard;
    sa->copy_dscp = order->copy_dscp;
    sa->ecn = order->ecn;
    sa->standby = order->standby;
    sa->dscps = order->dscps;
    sa->added_ms = sa->last_in_ms = sa->last_out_ms = now_ms;
    int r = esp_new(ESP_INBOUND, &order->suite, order->spi_in, order->encr_in, order->integ_in,
                    &sa->in);
    if (r >= 0) {
        r = esp_new(ESP_OUTBOUND, &order->suite, order->spi_out, order->encr_out, order->integ_out,
                    &sa->out);
    }
    if (r < 0)
        return r;
    *ret = steal_pointer(sa);
    return 0;
}

void sa_free(Sa *sa)
{
    if (!sa)
        return;
    esp_free(sa->in);
    esp_free(sa->out);
    free(sa);
}

SequenceCounter *sa_sequence(Sa *sa)
{
    return &sa->sequence;
}

uint32_t sa_spi_in(const Sa *sa)
{
    return sa->spi_in;
}

size_t sa_interface(const Sa *sa)
{
    return sa->interface;
}

uint32_t sa_transport(const Sa *sa)
{
    return sa->transport;
}

int sa_fd(const Sa *sa)
{
    return sa->fd;
}

const struct sockaddr_storage *sa_remote(const Sa *sa)
{
    return &sa->remote;
}

int sa_narrowness(const Sa *sa, const Packet *packet)
{
    return packet_narrowness(packet, &sa->ts_local, &sa->ts_remote);
}

size_t sa_front_size(const Sa *sa)
{
    return esp_front_size(sa->out);
}

size_t sa_sealed_size(const Sa *sa, size_t inner_size)
{
    return esp_sealed_size(sa->out, inner_size);
}

static bool reached(uint64_t value, uint64_t limit)
{
    return limit != 0 && value >= limit;
}

static bool lifetime_reached(const Sa *sa, const Lifetime *lifetime, uint64_t now_ms)
{
    const SaCounters *counters = &sa->counters;
    return reached(counters->bytes_in, lifetime->bytes) ||
           reached(counters->bytes_out, lifetime->bytes) ||
           reached(counters->packets_in, lifetime->packets) ||
           reached(sa->sequence.last, lifetime->packets) ||
           reached((now_ms - sa->added_ms) / 1000, lifetime->seconds);
}

static bool is_expired(const Sa *sa, uint64_t now_ms)
{
    return sequence_is_used_up(&sa->sequence) || lifetime_reached(sa, &sa->hard, now_ms);
}

uint8_t sa_outer_class(const Sa *sa, const Packet *packet)
{
    uint8_t inner = traffic_class_read(packet->bytes.data, packet->version);
    return traffic_class_outer(inner, sa->copy_dscp, sa->ecn);
}

SaDscp sa_dscp(const Sa *sa, const Packet *packet, uint64_t now_ms)
{
    if (sa->dscps == 0)
        return SA_DSCP_ANY;
    uint8_t dscp = traffic_class_read(packet->bytes.data, packet->version) >> DSCP_SHIFT;
    bool named = (sa->dscps >> dscp & 1) != 0;
    return named && !is_expired(sa, now_ms) ? SA_DSCP_NAMED : SA_DSCP_OTHER;
}

SaRank sa_rank(const Sa *sa, uint64_t now_ms)
{
    if (is_expired(sa, now_ms))
        return SA_EXPIRED;
    return sa->standby ? SA_STANDBY : SA_SENDS;
}

void sa_use(Sa *sa)
{
    sa->standby = false;
}

bool sa_is_awaited(const Sa *sa)
{
    return sa->standby && sa->window.highest != 0;
}

void sa_move(Sa *sa, const SaPath *path, int fd)
{
    sa->transport = path->transport;
    sa->fd = fd;
    sa->remote = path->remote;
}

int sa_seal(Sa *sa, uint8_t version, uint8_t *buffer, size_t inner_size, uint64_t now_ms)
{
    /* RFC 4303 3.3.3: the counter must not cycle, or an IV would be used twice. */
    if (is_expired(sa, now_ms))
        return SA_E_EXPIRED;
    uint8_t next_header = version == 4 ? ESP_NEXT_IPV4 : ESP_NEXT_IPV6;
    int r = esp_seal(sa->out, sequence_next(&sa->sequence), next_header, buffer, inner_size);
    if (r < 0)
        return r;
    sa->counters.packets_out++;
    sa->counters.bytes_out += inner_size;
    sa->last_out_ms = now_ms;
    return 0;
}

/* Where ECN is off, what a router made of zeros says nothing. `octets` are the packet's. */
static int take_ecn(Sa *sa, const Packet *packet, uint8_t outer_ecn, uint8_t *octets)
{
    if (!sa->ecn)
        return 0;
    uint8_t inner = traffic_class_read(octets, packet->version) & ECN_MASK;
    int combined = ecn_combine(inner, outer_ecn);
    if (combined == ECN_DROP) {
        sa->counters.ecn_drops_in++;
        return SA_E_DROPPED;
    }
    if (combined != inner)
        ecn_write(octets, packet->version, (uint8_t)combined);
    return 0;
}

/* What is inside must be what Next Header says (RFC 4303 2.6), and within the selectors (RFC
 * 4301 5.2). */
static int check_inner(Sa *sa, Bytes inner, uint8_t next_header, Packet *ret)
{
    if (next_header == ESP_NEXT_DUMMY)
        return SA_E_DUMMY;
    Packet packet;
    if (packet_parse(inner, &packet) < 0 ||
        next_header != (packet.version == 4 ? ESP_NEXT_IPV4 : ESP_NEXT_IPV6)) {
        sa->counters.malformed++;
        return SA_E_DROPPED;
    }
    if (!packet_matches(&packet, &sa->ts_local, &sa->ts_remote, false)) {
        sa->counters.selector_drops_in++;
        return SA_E_DROPPED;
    }
    *ret = packet;
    return 0;
}

int sa_open(Sa *sa, uint32_t low, uint8_t outer_ecn, uint8_t *buffer, size_t size, uint64_t now_ms,
            Packet *ret)
{
    if (is_expired(sa, now_ms))
        return SA_E_EXPIRED;
    uint64_t sequence = replay_window_infer(&sa->window, low, sa->sequence.esn);
    if (!replay_window_is_fresh(&sa->window, sequence)) {
        sa->counters.replays++;
        return SA_E_DROPPED;
    }
    Bytes inner = {};
    uint8_t next_header = 0;
    int r = esp_open(sa->in, sequence, buffer, size, &inner, &next_header);
    if (r < 0)
        return r;
    if (r == ESP_E_NOT_AUTHENTIC) {
        sa->counters.authentication_failures++;
        return SA_E_DROPPED;
    }
    if (r == ESP_E_MALFORMED) {
        sa->counters.malformed++;
        return SA_E_DROPPED;
    }
    replay_window_mark(&sa->window, sequence);
    sa->last_in_ms = now_ms;
    if (r == ESP_E_PADDING) {
        sa->counters.malformed++;
        return SA_E_DROPPED;
    }
    r = check_inner(sa, inner, next_header, ret);
    if (r == 0)
        r = take_ecn(sa, ret, outer_ecn, buffer + (ret->bytes.data - buffer));
    if (r != 0)
        return r;
    sa->counters.packets_in++;
    sa->counters.bytes_in += ret->bytes.size;
    return 0;
}

bool sa_event(Sa *sa, uint64_t now_ms, DataPlaneEvent *ret)
{
    *ret = (DataPlaneEvent){.spi_in = sa->spi_in};
    if (!sa->hard_reported && is_expired(sa, now_ms)) {
        sa->hard_reported = sa->soft_reported = true;
        ret->type = DATAPLANE_HARD_LIFETIME;
        return true;
    }
    if (!sa->soft_reported && lifetime_reached(sa, &sa->soft, now_ms)) {
        sa->soft_reported = true;
        ret->type = DATAPLANE_SOFT_LIFETIME;
        return true;
    }
    return false;
}

static uint64_t end_ms(const Sa *sa, const Lifetime *lifetime, bool reported)
{
    if (reported || lifetime->seconds == 0 || lifetime->seconds > UINT32_MAX)
        return UINT64_MAX;
    return sa->added_ms + lifetime->seconds * 1000;
}

uint64_t sa_next_event_ms(const Sa *sa)
{
    uint64_t soft_ms = end_ms(sa, &sa->soft, sa->soft_reported);
    uint64_t hard_ms = end_ms(sa, &sa->hard, sa->hard_reported);
    return soft_ms < hard_ms ? soft_ms : hard_ms;
}

void sa_counters(const Sa *sa, uint64_t now_ms, SaCounters *ret)
{
    *ret = sa->counters;
    ret->idle_in_ms = now_ms - sa->last_in_ms;
    ret->idle_out_ms = now_ms - sa->last_out_ms;
}
