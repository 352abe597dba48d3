/* The list of Child SAs, and what follows where both sides rekey one at once. */
#include "ikeclient/child_list.h"

#include <stdlib.h>
#include <string.h>

/* ---- nonces ---- */

bool nonce_set(Nonce *nonce, Bytes octets)
{
    if (octets.size > sizeof(nonce->octets))
        return false;
    nonce->size = octets.size;
    if (octets.size > 0)
        memcpy(nonce->octets, octets.data, octets.size);
    return true;
}

bool nonce_is_lower(const Nonce *a, const Nonce *b)
{
    const size_t common = a->size < b->size ? a->size : b->size;
    const int order = memcmp(a->octets, b->octets, common);

    return order != 0 ? order < 0 : a->size < b->size;
}

/* ---- the list ---- */

ChildSa *child_sas_add(ChildSa **list, uint32_t spi_in, const ChildAnswer *answer)
{
    ChildSa *child = calloc(1, sizeof(*child));

    if (!child)
        return NULL;
    child->spi_in = spi_in;
    child->answer = *answer;
    while (*list)
        list = &(*list)->next;
    *list = child;
    return child;
}

ChildSa *child_sas_find(ChildSa *list, uint32_t spi_in)
{
    while (list && list->spi_in != spi_in)
        list = list->next;
    return list;
}

ChildSa *child_sas_find_out(ChildSa *list, uint32_t spi_out)
{
    while (list && list->answer.esp.spi_out != spi_out)
        list = list->next;
    return list;
}

ChildSa *child_sas_replacement(ChildSa *list, uint32_t spi_in, bool by_peer)
{
    while (list && (list->replaces != spi_in || list->by_peer != by_peer))
        list = list->next;
    return list;
}

static bool stays(const ChildSa *child)
{
    return child && !child->unwanted && !child->redundant;
}

bool child_sa_is_current(ChildSa *list, const ChildSa *child)
{
    return stays(child) && !stays(child_sas_replacement(list, child->spi_in, true)) &&
           !stays(child_sas_replacement(list, child->spi_in, false));
}

const ChildSa *child_sas_at(ChildSa *list, unsigned place)
{
    for (const ChildSa *child = list; child; child = child->next) {
        if (child->place == place && child_sa_is_current(list, child))
            return child;
    }
    return NULL;
}

void child_sas_settle(ChildSa *list, uint32_t replaced)
{
    ChildSa *old = child_sas_find(list, replaced);
    ChildSa *ours = child_sas_replacement(list, replaced, false);
    ChildSa *theirs = child_sas_replacement(list, replaced, true);

    if (ours && theirs) {
        const bool lost = nonce_is_lower(&ours->lowest, &theirs->lowest);
        ours->unwanted = ours->unwanted || lost;
        theirs->redundant = !ours->unwanted;
    }
    if (old)
        old->unwanted = stays(ours) || old->delete_sent;
}

void child_sas_remove(ChildSa **list, uint32_t spi_in)
{
    for (; *list; list = &(*list)->next) {
        if ((*list)->spi_in != spi_in)
            continue;
        ChildSa *gone = *list;
        *list = gone->next;
        free(gone);
        return;
    }
}

void child_sas_free(ChildSa *list)
{
    while (list) {
        ChildSa *next = list->next;
        free(list);
        list = next;
    }
}
