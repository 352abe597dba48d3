/* Calls to the trusted environment, whoever plays it, and the copy of what it says of itself. */
#include "ikeclient/tre.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tre_call(Tre *tre, const TreCall *call, TreHandler handler, void *userdata)
{
    return tre->call(tre, call, handler, userdata);
}

void tre_forget(Tre *tre, const void *userdata)
{
    tre->forget(tre, userdata);
}

static Bytes keep(Writer *writer, Bytes bytes)
{
    Bytes kept = {writer->data + writer->size, bytes.size};

    writer_bytes(writer, bytes);
    return kept;
}

int tre_identity_init(TreIdentity *identity, const TreDescription *description)
{
    TreIdentity new = {0};
    Writer writer;
    size_t size = 1; /* malloc(0) may be NULL */

    for (size_t i = 0; i < description->n_certificates; i++)
        size += description->certificates[i].size;
    for (size_t i = 0; i < description->n_anchors; i++) {
        if (description->anchors[i].size != TRE_HASH_SIZE)
            return -EBADMSG;
        size += TRE_HASH_SIZE;
    }

    new.identity = strdup(description->identity);
    new.segw_identity = strdup(description->segw_identity);
    new.octets = malloc(size);
    if (!new.identity || !new.segw_identity || !new.octets) {
        tre_identity_deinit(&new);
        return -ENOMEM;
    }
    writer_init(&writer, new.octets, size);
    new.ocsp_wanted = description->ocsp_wanted;
    new.stronger_child = description->stronger_child;
    new.needs_udp = strcmp(description->data_plane, "user") == 0;
    new.n_certificates = description->n_certificates;
    for (size_t i = 0; i < description->n_certificates; i++)
        new.certificates[i] = keep(&writer, description->certificates[i]);
    new.n_anchors = description->n_anchors;
    new.anchor_hashes = keep(&writer, (Bytes){0});
    for (size_t i = 0; i < description->n_anchors; i++)
        new.anchor_hashes.size += keep(&writer, description->anchors[i]).size;

    tre_identity_deinit(identity);
    *identity = new;
    return 0;
}

void tre_identity_deinit(TreIdentity *identity)
{
    free(identity->identity);
    free(identity->segw_identity);
    free(identity->octets);
    *identity = (TreIdentity){0};
}
