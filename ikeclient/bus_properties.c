/* The table of a connection's properties: the value of each, and the text by which it is seen that
 * it has changed. */
#include "ikeclient/bus_properties.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = CHILD_ADDRESSES_TEXT_SIZE };
_Static_assert((int)TEXT_SIZE >= (int)ENDPOINT_TEXT_SIZE &&
                   (int)TEXT_SIZE >= (int)ESP_SUITE_NAME_SIZE,
               "each text has room");

/* The one after `child`, or itself, that the SeGW has not deleted; NULL: there is none. */
static const ChildSa *child_there(const ChildSa *child)
{
    while (child && child->gone != 0)
        child = child->next;
    return child;
}

/* What the first child of `info` was granted, or nothing of all. */
static const ChildAnswer *child_of(const ConnectionInfo *info)
{
    static const ChildAnswer none;

    const ChildSa *child = child_there(info->sa.children);

    return child ? &child->answer : &none;
}

/* ---- those that are text ---- */

static const char *text_state(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->state_name;
}

static const char *text_last_error(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->last_error;
}

static const char *text_identity(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.identity;
}

static const char *text_segw_identity(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.segw_identity;
}

static const char *text_segw_address(const ConnectionInfo *info, char *text)
{
    return info->sa.segw ? endpoint_text(info->sa.segw, text) : "";
}

static const char *text_suite(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.suite;
}

static const char *text_esp_suite(const ConnectionInfo *info, char *text)
{
    const ChildSa *child = child_there(info->sa.children);

    if (!child)
        return "";
    esp_choice_name(&child->answer.esp, text);
    return text;
}

static const char *text_external_address(const ConnectionInfo *info, char *text)
{
    return info->sa.external ? endpoint_text(info->sa.external, text) : "";
}

static const char *text_interface(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.interface;
}

/* tred's object; "/" where there is none. */
static const char *text_exchange(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.exchange[0] != 0 ? info->sa.exchange : "/";
}

/* ---- the others ---- */

static int append_exchange(sd_bus_message *reply, const ConnectionInfo *info)
{
    return sd_bus_message_append(reply, "o", text_exchange(info, NULL));
}

static int append_list(sd_bus_message *reply, const InnerAddress *addresses, size_t count,
                       bool prefix)
{
    int r = sd_bus_message_open_container(reply, 'a', "s");
    for (size_t i = 0; r >= 0 && i < count; i++) {
        char text[CHILD_ADDRESS_TEXT_SIZE];
        r = sd_bus_message_append(reply, "s", inner_address_text(&addresses[i], prefix, text));
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_addresses(sd_bus_message *reply, const ConnectionInfo *info)
{
    const ChildAnswer *child = child_of(info);

    return append_list(reply, child->addresses, child->n_addresses, true);
}

static const char *text_addresses(const ConnectionInfo *info, char *text)
{
    const ChildAnswer *child = child_of(info);

    return inner_addresses_text(child->addresses, child->n_addresses, true, text);
}

static int append_dns_servers(sd_bus_message *reply, const ConnectionInfo *info)
{
    const ChildAnswer *child = child_of(info);

    return append_list(reply, child->dns, child->n_dns, false);
}

static const char *text_dns_servers(const ConnectionInfo *info, char *text)
{
    const ChildAnswer *child = child_of(info);

    return inner_addresses_text(child->dns, child->n_dns, false, text);
}

static int append_children(sd_bus_message *reply, const ConnectionInfo *info)
{
    char esp[ESP_SUITE_NAME_SIZE];

    int r = sd_bus_message_open_container(reply, 'a', "(uus)");
    const ChildSa *child = child_there(info->sa.children);
    for (; r >= 0 && child; child = child_there(child->next)) {
        esp_choice_name(&child->answer.esp, esp);
        r = sd_bus_message_append(reply, "(uus)", child->spi_in, child->answer.esp.spi_out, esp);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* By their SPIs: the suite stays as it is as long as they do. */
static const char *text_children(const ConnectionInfo *info, char *text)
{
    const ChildSa *child = child_there(info->sa.children);
    size_t n = 0;

    text[0] = 0;
    for (; child && n < TEXT_SIZE; child = child_there(child->next)) {
        n += (size_t)snprintf(text + n, TEXT_SIZE - n, "%08x %08x ", child->spi_in,
                              child->answer.esp.spi_out);
    }
    return text;
}

/* Where the Child SA of a place receives; 0: it is not there. */
static uint32_t spi_at(const ConnectionInfo *info, unsigned place)
{
    for (const ChildSa *child = info->sa.children; child; child = child->next) {
        if (child->place == place && !child->unwanted)
            return child->spi_in;
    }
    return 0;
}

static const char *missing_reason(const ConnectionInfo *info, unsigned place)
{
    return info->sa.missing[place] ? info->sa.missing[place] : "";
}

static int append_named_children(sd_bus_message *reply, const ConnectionInfo *info)
{
    int r = sd_bus_message_open_container(reply, 'a', "(sus)");
    for (unsigned i = 0; r >= 0 && i < info->config->n_children; i++) {
        r = sd_bus_message_append(reply, "(sus)", info->config->children[i].name,
                                  spi_at(info, CHILD_NAMED + i),
                                  missing_reason(info, CHILD_NAMED + i));
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *text_named_children(const ConnectionInfo *info, char *text)
{
    size_t n = 0;

    text[0] = 0;
    for (unsigned i = 0; i < info->config->n_children && n < TEXT_SIZE; i++) {
        n += (size_t)snprintf(text + n, TEXT_SIZE - n, "%08x %s ", spi_at(info, CHILD_NAMED + i),
                              missing_reason(info, CHILD_NAMED + i));
    }
    return text;
}

static int append_nat_detected(sd_bus_message *reply, const ConnectionInfo *info)
{
    return sd_bus_message_append(reply, "b", (int)info->sa.nat);
}

static const char *text_nat_detected(const ConnectionInfo *info, char *text)
{
    (void)text;
    return info->sa.nat ? "yes" : "no";
}

static int append_established_since(sd_bus_message *reply, const ConnectionInfo *info)
{
    return sd_bus_message_append(reply, "t", (uint64_t)info->since);
}

static const char *text_established_since(const ConnectionInfo *info, char *text)
{
    (void)snprintf(text, TEXT_SIZE, "%jd", (intmax_t)info->since);
    return text;
}

static int append_next_attempt(sd_bus_message *reply, const ConnectionInfo *info)
{
    return sd_bus_message_append(reply, "t", (uint64_t)info->next_attempt);
}

static const char *text_next_attempt(const ConnectionInfo *info, char *text)
{
    (void)snprintf(text, TEXT_SIZE, "%jd", (intmax_t)info->next_attempt);
    return text;
}

static int append_steps(sd_bus_message *reply, const ConnectionInfo *info)
{
    int r = sd_bus_message_open_container(reply, 'a', "(ttussss)");
    for (size_t i = 0; r >= 0 && i < info->flow->n_steps; i++) {
        const FlowStep *step = &info->flow->steps[i];
        r = sd_bus_message_append(reply, "(ttussss)", step->realtime, step->elapsed, step->number,
                                  step->what, step->from, step->to, step->details);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *text_steps(const ConnectionInfo *info, char *text)
{
    (void)snprintf(text, TEXT_SIZE, "%" PRIu64 " %zu", info->flow->begun, info->flow->n_steps);
    return text;
}

static int append_totals(sd_bus_message *reply, const ConnectionInfo *info)
{
    return sd_bus_message_append(reply, "a{st}", 4, "Attempts", info->totals.attempts,
                                 "Established", info->totals.established, "Failures",
                                 info->totals.failures, "Losses", info->totals.losses);
}

/* ---- the table ---- */

typedef struct Property {
    const char *name;
    const char *type; /* as the interface has it; NULL: its value is not told, but asked for */
    int (*append)(sd_bus_message *reply, const ConnectionInfo *info); /* NULL: the text */
    /* Into `text` (TEXT_SIZE octets), or elsewhere. NULL: nobody is told of changes, so that it
     * has no type here either. */
    const char *(*text)(const ConnectionInfo *info, char *text);
} Property;

static const Property properties[] = {
    {"State", "s", NULL, text_state},
    {"LastError", "s", NULL, text_last_error},
    {"Identity", "s", NULL, text_identity},
    {"SegwIdentity", "s", NULL, text_segw_identity},
    {"SegwAddress", "s", NULL, text_segw_address},
    {"Suite", "s", NULL, text_suite},
    {"EspSuite", "s", NULL, text_esp_suite},
    {"ExternalAddress", "s", NULL, text_external_address},
    {"Interface", "s", NULL, text_interface},
    {"Addresses", "as", append_addresses, text_addresses},
    {"DnsServers", "as", append_dns_servers, text_dns_servers},
    {"ChildSas", "a(uus)", append_children, text_children},
    {"NamedChildSas", "a(sus)", append_named_children, text_named_children},
    {"NatDetected", "b", append_nat_detected, text_nat_detected},
    {"Exchange", "o", append_exchange, text_exchange},
    {"EstablishedSince", "t", append_established_since, text_established_since},
    {"NextAttempt", "t", append_next_attempt, text_next_attempt},
    {"Steps", NULL, append_steps, text_steps},
    {"Totals", NULL, append_totals, NULL},
};
_Static_assert(ELEMENTS(properties) == BUS_PROPERTIES && BUS_PROPERTIES <= 32,
               "each has its place, and its bit");

static int append_value(const ConnectionInfo *info, const Property *property, sd_bus_message *m)
{
    char text[TEXT_SIZE];

    return property->append ? property->append(m, info)
                            : sd_bus_message_append_basic(m, 's', property->text(info, text));
}

int bus_property_append(const ConnectionInfo *info, const char *name, sd_bus_message *reply)
{
    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        if (strcmp(name, properties[i].name) == 0)
            return append_value(info, &properties[i], reply);
    }
    return -ENOENT;
}

static int append_change(const ConnectionInfo *info, const Property *property, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', property->name);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', property->type);
    if (r >= 0)
        r = append_value(info, property, m);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_properties_append(const ConnectionInfo *info, uint32_t changed, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    for (size_t i = 0; r >= 0 && i < ELEMENTS(properties); i++) {
        if (changed & 1U << i && properties[i].type)
            r = append_change(info, &properties[i], m);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "s");
    for (size_t i = 0; r >= 0 && i < ELEMENTS(properties); i++) {
        if (changed & 1U << i && !properties[i].type)
            r = sd_bus_message_append_basic(m, 's', properties[i].name);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Keeps a copy of `value`; true if it differs from the one that was kept. */
static bool note(char **kept, const char *value)
{
    if (*kept && strcmp(*kept, value) == 0)
        return false;
    free(*kept);
    *kept = strdup(value); /* NULL: told once more the next time */
    return true;
}

uint32_t bus_told_update(BusTold *told, const ConnectionInfo *info)
{
    char text[TEXT_SIZE];
    uint32_t changed = 0;

    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        if (properties[i].text && note(&told->values[i], properties[i].text(info, text)))
            changed |= 1U << i;
    }
    return changed;
}

void bus_told_deinit(BusTold *told)
{
    for (size_t i = 0; i < ELEMENTS(told->values); i++)
        free(told->values[i]);
}
