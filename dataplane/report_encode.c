/* Writes answers and events: tred-net and tred-esp do that. */
#include "dataplane/report_internal.h"

#include <string.h>

static void encode_reason(Writer *writer, const Answer *answer)
{
    size_t size = strnlen(answer->reason.text, sizeof(answer->reason.text) - 1);
    writer_u16(writer, (uint16_t)size);
    writer_bytes(writer, (Bytes){(const uint8_t *)answer->reason.text, size});
}

void answer_encode(Writer *writer, const Answer *answer)
{
    Answer copy = *answer;
    uint64_t *fields[ANSWER_FIELDS_MAX];
    size_t n_fields = answer_fields(&copy, fields);
    writer_u8(writer, REPORT_ANSWER);
    writer_u8(writer, (uint8_t)answer->type);
    writer_u32(writer, answer->number);
    writer_u32(writer, (uint32_t)-answer->error);
    if (answer->error != 0) {
        encode_reason(writer, answer);
    } else if (answer->type == ORDER_OPEN) {
        writer_u8(writer, (uint8_t)answer->mode);
    }
    for (size_t i = 0; i < n_fields; i++)
        writer_u64(writer, *fields[i]);
}

void event_encode(Writer *writer, const DataPlaneEvent *event)
{
    writer_u8(writer, REPORT_EVENT);
    writer_u8(writer, (uint8_t)event->type);
    writer_u32(writer, event->spi_in);
}
