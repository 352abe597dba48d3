/* What exactly did we send? */
#include "ikeclient/datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void datagrams_deinit(Datagrams *datagrams)
{
    for (size_t i = 0; i < datagrams->count; i++)
        free(datagrams->items[i].data);
    datagrams->count = 0;
}

int datagrams_set(Datagrams *datagrams, const Bytes *views, size_t count)
{
    datagrams_deinit(datagrams);
    if (count > DATAGRAMS_MAX)
        return -EMSGSIZE;
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = malloc(views[i].size > 0 ? views[i].size : 1);
        if (!copy) {
            datagrams_deinit(datagrams);
            return -ENOMEM;
        }
        if (views[i].size > 0)
            memcpy(copy, views[i].data, views[i].size);
        datagrams->items[datagrams->count].data = copy;
        datagrams->items[datagrams->count].size = views[i].size;
        datagrams->count++;
    }
    return 0;
}
