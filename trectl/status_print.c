/* One screen of what both services say of themselves. */
#include "base/cleanup.h"
#include "base/dscp.h"
#include "trectl/busjson.h"
#include "trectl/status.h"
#include "trectl/words.h"

#include <inttypes.h>
#include <string.h>

enum {
    DAY_SECONDS = 24 * 60 * 60,
    CARE_DAYS = 30,
    CRL_CARE_SECONDS = DAY_SECONDS,
    LABEL_WIDTH = 13,
    TEXT_WIDTH = 80 - LABEL_WIDTH
};

typedef struct Screen {
    const Paper *paper;
    time_t now;
    json_object *tre, *client, *exchange; /* NULL: not there */
} Screen;

/* Every line begins so; a label of "" continues the one above. */
static void label(const Screen *screen, const char *text)
{
    paper_print(screen->paper, COLOUR_STRONG, "%-*s", LABEL_WIDTH, text);
}

static void line_end(const Screen *screen)
{
    (void)fputc('\n', screen->paper->stream);
}

/* A text of one colour, on as many lines as it takes. */
static void line(const Screen *screen, const char *name, Colour colour, const char *text)
{
    const char *next;

    do {
        const size_t length = words_line_break(text, TEXT_WIDTH, &next);

        label(screen, name);
        paper_print(screen->paper, colour, "%.*s", (int)length, text);
        line_end(screen);
        name = "";
        text = next;
    } while (*text != '\0');
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

/* ---- the TrE ---- */

static Colour tre_colour(const char *state)
{
    static const char *const good[] = {"ready", NULL}, *const care[] = {"development", "loading",
                                                                        NULL};

    if (is_one_of(state, good))
        return COLOUR_GOOD;
    return is_one_of(state, care) ? COLOUR_CARE : COLOUR_BAD;
}

static void pcrs_print(const Screen *screen)
{
    json_object *pcrs = json_member(screen->tre, "PcrMismatch");

    for (size_t i = 0; i < json_count(pcrs); i++) {
        json_object *pcr = json_item(pcrs, i);

        label(screen, "");
        paper_print(screen->paper, COLOUR_BAD, "PCR %s is %s\n%13sand not %s",
                    json_object_get_string(json_item(pcr, 0)),
                    json_object_get_string(json_item(pcr, 2)), "",
                    json_object_get_string(json_item(pcr, 1)));
        line_end(screen);
    }
}

static void tre_print(const Screen *screen)
{
    const char *state = json_text(screen->tre, "State"),
               *reason = json_text(screen->tre, "StateReason"),
               *algorithm = json_text(screen->tre, "KeyAlgorithm"),
               *identity = json_text(screen->tre, "Identity");

    label(screen, "TrE");
    paper_print(screen->paper, tre_colour(state), "%s", state);
    if (algorithm[0] != '\0') {
        paper_print(screen->paper, COLOUR_NONE, ", key %s in the TPM under policy %s", algorithm,
                    json_text(screen->tre, "KeyPolicy"));
    }
    line_end(screen);
    if (reason[0] != '\0')
        line(screen, "", tre_colour(state), reason);
    pcrs_print(screen);
    if (identity[0] != '\0')
        line(screen, "Identity", COLOUR_NONE, identity);
}

/* ---- certificates, anchors, CRLs ---- */

static void expiry_print(const Screen *screen, const char *name, uint64_t when)
{
    char until[WORDS_SIZE], left[WORDS_SIZE];
    const time_t end = (time_t)when;

    label(screen, name);
    if (end <= screen->now) {
        paper_print(screen->paper, COLOUR_BAD, "expired %s, have it renewed",
                    words_time(end, until));
    } else {
        const uint64_t seconds = (uint64_t)(end - screen->now);

        paper_print(screen->paper,
                    seconds < (uint64_t)CARE_DAYS * DAY_SECONDS ? COLOUR_CARE : COLOUR_GOOD,
                    "%s left", words_duration(seconds, left));
        paper_print(screen->paper, COLOUR_NONE, ", until %s", words_time(end, until));
    }
}

static void certificates_print(const Screen *screen)
{
    const uint64_t own = json_number(screen->tre, "CertificateExpires"),
                   peer = json_number(screen->exchange, "PeerCertificateExpires");

    if (own > 0) {
        expiry_print(screen, "Certificate", own);
        line_end(screen);
    }
    if (peer > 0) {
        expiry_print(screen, own > 0 ? "" : "Certificate", peer);
        paper_print(screen->paper, COLOUR_NONE, " (%s)",
                    json_text(screen->exchange, "PeerIdentity"));
        line_end(screen);
    }
}

static void anchors_print(const Screen *screen)
{
    json_object *guarded = NULL;

    if (json_object_object_get_ex(screen->tre, "AnchorsGuarded", &guarded) &&
        json_object_get_boolean(guarded)) {
        label(screen, "Anchors");
        paper_print(screen->paper, COLOUR_NONE, "version %" PRIu64 ", guarded by the TPM",
                    json_number(screen->tre, "AnchorsVersion"));
        line_end(screen);
    } else {
        line(screen, "Anchors", COLOUR_CARE, "not guarded by the TPM");
    }
}

static void crl_print(const Screen *screen, const char *name, json_object *crl)
{
    char age[WORDS_SIZE], next[WORDS_SIZE];
    const time_t from = json_object_get_int64(json_item(crl, 1)),
                 until = json_object_get_int64(json_item(crl, 2));

    label(screen, name);
    paper_print(screen->paper, COLOUR_NONE, "%s: ", json_object_get_string(json_item(crl, 0)));
    paper_print(screen->paper, COLOUR_NONE, "%s old, ",
                words_duration(screen->now > from ? (uint64_t)(screen->now - from) : 0, age));
    if (until == 0) {
        paper_print(screen->paper, COLOUR_NONE, "without a next one");
    } else if (until <= screen->now) {
        paper_print(screen->paper, COLOUR_BAD, "overdue since %s", words_time(until, next));
    } else {
        paper_print(screen->paper,
                    until - screen->now < CRL_CARE_SECONDS ? COLOUR_CARE : COLOUR_GOOD,
                    "next in %s", words_duration((uint64_t)(until - screen->now), next));
    }
    line_end(screen);
}

static void crls_print(const Screen *screen)
{
    json_object *crls = json_member(screen->tre, "CrlIssuers");
    const char *problem = json_text(screen->tre, "CrlProblem");

    for (size_t i = 0; i < json_count(crls); i++)
        crl_print(screen, i == 0 ? "CRLs" : "", json_item(crls, i));
    if (json_count(crls) == 0)
        line(screen, "CRLs", COLOUR_NONE, "none");
    if (problem[0] != '\0')
        line(screen, "", COLOUR_BAD, problem);
}

/* ---- the connection ---- */

static Colour connection_colour(const char *state)
{
    static const char *const care[] = {"connecting", "closing", "idle", NULL};

    if (strcmp(state, "established") == 0)
        return COLOUR_GOOD;
    return is_one_of(state, care) ? COLOUR_CARE : COLOUR_BAD;
}

static void connection_print(const Screen *screen)
{
    const char *state = json_text(screen->client, "State");
    const time_t since = (time_t)json_number(screen->client, "EstablishedSince"),
                 next = (time_t)json_number(screen->client, "NextAttempt");
    char words[WORDS_SIZE], moment[WORDS_SIZE];

    label(screen, "Connection");
    paper_print(screen->paper, connection_colour(state), "%s", state);
    if (since > 0) {
        paper_print(
            screen->paper, COLOUR_NONE, " for %s, since %s",
            words_duration(screen->now > since ? (uint64_t)(screen->now - since) : 0, words),
            words_time(since, moment));
    }
    if (next > 0) {
        paper_print(screen->paper, COLOUR_NONE, ", next attempt in %s",
                    words_duration(next > screen->now ? (uint64_t)(next - screen->now) : 0, words));
    }
    line_end(screen);
}

static void segw_print(const Screen *screen)
{
    const char *name = json_text(screen->client, "SegwIdentity"),
               *address = json_text(screen->client, "SegwAddress"),
               *suite = json_text(screen->client, "Suite");
    json_object *nat = NULL;

    if (name[0] == '\0')
        name = json_text(screen->tre, "SegwIdentity");
    label(screen, "SeGW");
    paper_print(screen->paper, COLOUR_NONE, "%s%s%s", name, address[0] != '\0' ? " at " : "",
                address);
    if (json_object_object_get_ex(screen->client, "NatDetected", &nat) &&
        json_object_get_boolean(nat))
        paper_print(screen->paper, COLOUR_NONE, ", a NAT between");
    line_end(screen);
    if (suite[0] == '\0')
        return;
    line(screen, "IKE SA", COLOUR_NONE, suite);
    if (screen->exchange) {
        label(screen, "");
        paper_print(screen->paper, COLOUR_NONE, "SPI_i %s, SPI_r %s",
                    json_text(screen->exchange, "SpiI"), json_text(screen->exchange, "SpiR"));
        line_end(screen);
    }
}

static void list_print(const Screen *screen, const char *name, json_object *of, const char *member)
{
    json_object *items = NULL;

    if (!json_object_object_get_ex(of, member, &items) || json_count(items) == 0)
        return;
    label(screen, name);
    for (size_t i = 0; i < json_count(items); i++) {
        paper_print(screen->paper, COLOUR_NONE, "%s%s", i > 0 ? ", " : "",
                    json_object_get_string(json_item(items, i)));
    }
    line_end(screen);
}

static void interface_print(const Screen *screen)
{
    const char *interface = json_text(screen->client, "Interface");

    if (interface[0] != '\0')
        line(screen, "Interface", COLOUR_NONE, interface);
}

/* ---- Child SAs and totals ---- */

static void way_print(const Screen *screen, json_object *counters, const char *way,
                      const char *packets, const char *octets)
{
    char text[WORDS_SIZE];

    paper_print(screen->paper, COLOUR_NONE, "%s %" PRIu64 " packets, %s", way,
                json_number(counters, packets), words_octets(json_number(counters, octets), text));
}

static void traffic_print(const Screen *screen, const char *name, json_object *counters)
{
    static const struct {
        const char *member, *words;
    } drops[] = {{"Replays", "replayed"},
                 {"AuthenticationFailures", "not authentic"},
                 {"Malformed", "malformed"},
                 {"SelectorDropsIn", "outside of the selectors"},
                 {"EcnDropsIn", "marked against RFC 6040"},
                 {"UnknownSpiDropsIn", "of no Child SA"},
                 {"DeliveryDropsIn", "not taken by the host"},
                 {"NoSaDropsOut", "that no Child SA takes"},
                 {"SendDropsOut", "not sent"}};
    uint64_t dropped = 0;

    label(screen, name);
    way_print(screen, counters, "in", "PacketsIn", "BytesIn");
    way_print(screen, counters, "; out", "PacketsOut", "BytesOut");
    for (size_t i = 0; i < ELEMENTS(drops); i++) {
        const uint64_t count = json_number(counters, drops[i].member);

        if (count > 0) {
            paper_print(screen->paper, COLOUR_CARE, "%s%" PRIu64 " %s",
                        dropped > 0 ? ", " : "; dropped ", count, drops[i].words);
        }
        dropped += count;
    }
    line_end(screen);
}

/* What carries traffic, what keeps it in the tunnel, and what that has kept from going past it. */
static void protection_print(const Screen *screen)
{
    const char *mode = json_text(screen->tre, "Protection"),
               *plane = json_text(screen->tre, "DataPlane");
    const uint64_t in = json_number(screen->tre, "CleartextDropsIn"),
                   out = json_number(screen->tre, "CleartextDropsOut");

    if (plane[0] != '\0')
        line(screen, "Data plane", COLOUR_NONE, plane);
    if (mode[0] == '\0')
        return;
    label(screen, "Protection");
    if (strcmp(mode, "no") == 0) {
        paper_print(screen->paper, COLOUR_CARE, "no: packets may go past the tunnel, in clear");
    } else {
        paper_print(screen->paper, COLOUR_NONE, "%s", mode);
    }
    if (in > 0 || out > 0) {
        paper_print(screen->paper, COLOUR_CARE,
                    ", dropped in clear: %" PRIu64 " on the way in, %" PRIu64 " on the way out", in,
                    out);
    }
    line_end(screen);
}

static void child_print(const Screen *screen, json_object *child)
{
    const uint64_t since = json_number(child, "Since"),
                   soft = json_number(child, "SoftLifetimeSeconds"), now = (uint64_t)screen->now,
                   dscps = json_number(child, "Dscps");
    char words[WORDS_SIZE], names[DSCPS_TEXT_SIZE];

    label(screen, "Child SA");
    paper_print(screen->paper, COLOUR_NONE, "%s in, %s out, %s", json_text(child, "SpiIn"),
                json_text(child, "SpiOut"), json_text(child, "Suite"));
    if (dscps != 0)
        paper_print(screen->paper, COLOUR_NONE, ", sends DSCP %s", dscps_text(dscps, names));
    line_end(screen);
    label(screen, "");
    if (since > 0) {
        paper_print(screen->paper, COLOUR_NONE, "for %s",
                    words_duration(now > since ? now - since : 0, words));
    }
    if (since > 0 && soft > 0) {
        paper_print(screen->paper, COLOUR_NONE, ", rekey due in %s",
                    words_duration(since + soft > now ? since + soft - now : 0, words));
    } else {
        paper_print(screen->paper, COLOUR_NONE, ", no rekey by time");
    }
    line_end(screen);
    traffic_print(screen, "", child);
}

/* Those that [child NAME] of ikeclient.conf(5) asks for. */
static void named_print(const Screen *screen)
{
    enum { NAME, SPI_IN, REASON };
    json_object *children = json_member(screen->client, "NamedChildSas");

    for (size_t i = 0; i < json_count(children); i++) {
        json_object *child = json_item(children, i);
        const char *name = json_object_get_string(json_item(child, NAME)),
                   *reason = json_object_get_string(json_item(child, REASON));
        const uint64_t spi_in = json_object_get_uint64(json_item(child, SPI_IN));

        label(screen, i == 0 ? "Named" : "");
        if (spi_in != 0) {
            paper_print(screen->paper, COLOUR_GOOD, "%s: %08" PRIx64 " in", name, spi_in);
        } else {
            paper_print(screen->paper, COLOUR_CARE, "%s: not there%s%s", name,
                        reason[0] != '\0' ? ", " : "", reason);
        }
        line_end(screen);
    }
}

static void children_print(const Screen *screen)
{
    json_object *children = json_member(screen->exchange, "Children");

    for (size_t i = 0; i < json_count(children); i++)
        child_print(screen, json_item(children, i));
}

static void client_print(const Screen *screen)
{
    const char *problem = json_text(screen->client, "LastError");

    connection_print(screen);
    segw_print(screen);
    list_print(screen, "Addresses", screen->client, "Addresses");
    interface_print(screen);
    list_print(screen, "DNS", screen->client, "DnsServers");
    named_print(screen);
    children_print(screen);
    if (problem[0] != '\0')
        line(screen, "Last error", COLOUR_BAD, problem);
}

/* Where there are several, each in a line. */
static void connections_print(const Screen *screen, json_object *connections)
{
    for (size_t i = 0; i < json_count(connections); i++) {
        json_object *connection = json_item(connections, i);
        const char *state = json_text(connection, "State"),
                   *segw = json_text(connection, "SegwIdentity"),
                   *interface = json_text(connection, "Interface"),
                   *problem = json_text(connection, "LastError");

        label(screen, i == 0 ? "Connections" : "");
        paper_print(screen->paper, COLOUR_NONE, "%s ", json_text(connection, "Name"));
        paper_print(screen->paper, connection_colour(state), "%s", state);
        paper_print(screen->paper, COLOUR_NONE, "%s%s%s%s%s%s", segw[0] != '\0' ? ", " : "", segw,
                    interface[0] != '\0' ? " by " : "", interface, problem[0] != '\0' ? ": " : "",
                    problem);
        line_end(screen);
    }
}

bool status_is_up(json_object *snapshot)
{
    json_object *client = NULL;

    return json_object_object_get_ex(snapshot, "IkeClient", &client) && client &&
           strcmp(json_text(client, "State"), "established") == 0;
}

void status_print(const Paper *paper, json_object *snapshot)
{
    Screen screen = {.paper = paper, .now = (time_t)json_number(snapshot, "Time")};
    json_object *totals = NULL;

    (void)json_object_object_get_ex(snapshot, "TrE", &screen.tre);
    (void)json_object_object_get_ex(snapshot, "IkeClient", &screen.client);
    (void)json_object_object_get_ex(snapshot, "Exchange", &screen.exchange);
    if (screen.client) {
        client_print(&screen);
    } else {
        line(&screen, "Connection", COLOUR_BAD,
             "ikeclient does not run. Start it: systemctl start ikeclient");
    }
    connections_print(&screen, json_member(snapshot, "Connections"));
    if (screen.tre) {
        tre_print(&screen);
        certificates_print(&screen);
        anchors_print(&screen);
        crls_print(&screen);
    } else {
        line(&screen, "TrE", screen.client ? COLOUR_BAD : COLOUR_CARE,
             "tred does not run; it starts when it is needed. trectl doctor says what stands in "
             "the way");
    }
    if (json_object_object_get_ex(screen.tre, "Totals", &totals))
        traffic_print(&screen, "All so far", totals);
    protection_print(&screen);
}
