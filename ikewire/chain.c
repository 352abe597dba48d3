/* Builds a message, payload after payload (RFC 7296 3.1, 3.2). */
#include "ikewire/message.h"

enum {
    VERSION = 0x20, /* 2.0 */
    CRITICAL_BIT = 0x80,
    NEXT_PAYLOAD_OFFSET = 16, /* in the header */
    LENGTH_OFFSET = 24,
};

void ike_chain_init(IkeChain *chain, Writer *writer)
{
    *chain = (IkeChain){.writer = writer};
}

void ike_chain_open(IkeChain *chain, uint8_t type, bool critical)
{
    if (chain->any) {
        writer_patch_u8(chain->writer, chain->next_offset, type);
    } else {
        chain->first = type;
    }

    chain->any = true;
    chain->start = chain->writer->size;
    chain->next_offset = chain->start;
    writer_u8(chain->writer, IKE_PAYLOAD_NONE);
    writer_u8(chain->writer, critical ? CRITICAL_BIT : 0);
    writer_u16(chain->writer, 0);
}

void ike_chain_close(IkeChain *chain)
{
    size_t size = chain->writer->size - chain->start;

    if (size > UINT16_MAX)
        chain->writer->overflow = true;
    writer_patch_u16(chain->writer, chain->start + 2, (uint16_t)size);
}

void ike_message_begin(Writer *writer, const IkeHeader *header, IkeChain *chain)
{
    ike_chain_init(chain, writer);
    chain->header = writer->size;
    writer_u64(writer, header->spi_i);
    writer_u64(writer, header->spi_r);
    writer_u8(writer, IKE_PAYLOAD_NONE);
    writer_u8(writer, VERSION);
    writer_u8(writer, header->exchange_type);
    writer_u8(writer, header->flags);
    writer_u32(writer, header->message_id);
    writer_u32(writer, 0);
}

void ike_message_end(IkeChain *chain)
{
    Writer *writer = chain->writer;

    writer_patch_u8(writer, chain->header + NEXT_PAYLOAD_OFFSET, chain->first);
    writer_patch_u32(writer, chain->header + LENGTH_OFFSET,
                     (uint32_t)(writer->size - chain->header));
}
