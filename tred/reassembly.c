/* The fragments of a message that are there, and which are taken (RFC 7383 2.6). */
#include "tred/reassembly.h"

#include "base/cleanup.h"
#include "ikewire/message.h"

#include <errno.h>
#include <string.h>

void reassembly_deinit(Reassembly *reassembly)
{
    for (size_t i = 0; i < REASSEMBLY_FRAGMENTS_MAX; i++)
        free(reassembly->pieces[i].data);
    *reassembly = (Reassembly){0};
}

int reassembly_check(const Reassembly *reassembly, uint16_t number, uint16_t total)
{
    if (total > REASSEMBLY_FRAGMENTS_MAX)
        return REASSEMBLY_E_TOO_LARGE;
    if (number == 0 || number > total || total < reassembly->total)
        return REASSEMBLY_E_UNWANTED;
    if (total == reassembly->total && reassembly->pieces[number - 1].present)
        return REASSEMBLY_E_UNWANTED;
    return 0;
}

int reassembly_add(Reassembly *reassembly, uint16_t number, uint16_t total, uint8_t first,
                   Bytes plain)
{
    uint8_t *copy;

    if (total > reassembly->total)
        reassembly_deinit(reassembly);
    if (plain.size > IKE_MESSAGE_MAX - reassembly->size) {
        reassembly_deinit(reassembly);
        return REASSEMBLY_E_TOO_LARGE;
    }
    copy = malloc(plain.size + 1); /* never of size 0 */
    if (!copy)
        return -ENOMEM;
    if (plain.size > 0)
        memcpy(copy, plain.data, plain.size);
    reassembly->pieces[number - 1].present = true;
    reassembly->pieces[number - 1].data = copy;
    reassembly->pieces[number - 1].size = plain.size;
    reassembly->size += plain.size;
    reassembly->total = total;
    reassembly->received++;
    if (number == 1)
        reassembly->first = first;
    return reassembly->received == total ? 0 : REASSEMBLY_E_MORE;
}

int reassembly_join(const Reassembly *reassembly, uint8_t **ret, size_t *ret_size)
{
    uint8_t *plain = malloc(reassembly->size + 1); /* never of size 0 */
    Writer writer;

    if (!plain)
        return -ENOMEM;
    writer_init(&writer, plain, reassembly->size);
    for (size_t i = 0; i < reassembly->total; i++)
        writer_bytes(&writer, (Bytes){reassembly->pieces[i].data, reassembly->pieces[i].size});
    *ret = plain;
    *ret_size = reassembly->size;
    return 0;
}
