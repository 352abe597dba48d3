/* Answers and events as octets: written by tred-net and tred-esp, read and checked by tred. */
#include "dataplane/order.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { REPORT_ANSWER = 1, REPORT_EVENT = 2 };

enum {
    SA_COUNTERS = sizeof(SaCounters) / sizeof(uint64_t),
    PLANE_COUNTERS = sizeof(DataPlaneCounters) / sizeof(uint64_t),
};

/* The numbers of each message, in their order on the socket: one list for both directions. */
static void sa_fields(SaCounters *sa, uint64_t *fields[SA_COUNTERS])
{
    uint64_t *const list[SA_COUNTERS] = {
        &sa->packets_in,  &sa->bytes_in,          &sa->packets_out,
        &sa->bytes_out,   &sa->replays,           &sa->authentication_failures,
        &sa->malformed,   &sa->selector_drops_in, &sa->idle_in_ms,
        &sa->idle_out_ms,
    };
    memcpy(fields, list, sizeof(list));
}

static void plane_fields(DataPlaneCounters *plane, uint64_t *fields[PLANE_COUNTERS])
{
    uint64_t *const list[PLANE_COUNTERS] = {
        &plane->unknown_spi,
        &plane->no_sa_out,
        &plane->send_failures,
        &plane->delivery_failures,
    };
    memcpy(fields, list, sizeof(list));
}

/* Fills `fields` with the numbers that an answer carries, and says how many. */
static size_t answer_fields(Answer *answer, uint64_t *fields[SA_COUNTERS])
{
    if (answer->error != 0)
        return 0;
    switch (answer->type) {
    case ORDER_SA_COUNTERS:
        sa_fields(&answer->sa, fields);
        return SA_COUNTERS;
    case ORDER_PLANE_COUNTERS:
        plane_fields(&answer->plane, fields);
        return PLANE_COUNTERS;
    default:
        return 0;
    }
}

static void encode_opened(Writer *writer, const Answer *answer)
{
    if (answer->error == 0) {
        writer_u8(writer, (uint8_t)answer->mode);
        return;
    }
    size_t size = strnlen(answer->text, sizeof(answer->text) - 1);
    writer_u16(writer, (uint16_t)size);
    writer_bytes(writer, (Bytes){(const uint8_t *)answer->text, size});
}

/* The text is shown to people: no control characters. */
static int decode_text(Reader *reader, char *ret)
{
    uint16_t size = 0;
    Bytes text = {};
    int r = reader_u16(reader, &size);
    if (r >= 0 && size >= ORDER_TEXT_SIZE)
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, size, &text);
    for (size_t i = 0; r >= 0 && i < text.size; i++) {
        if (!isprint(text.data[i]))
            r = -EBADMSG;
    }
    if (r >= 0 && text.size > 0)
        memcpy(ret, text.data, text.size);
    return r;
}

static int decode_opened(Reader *reader, Answer *answer)
{
    uint8_t mode = 0;
    if (answer->error != 0)
        return decode_text(reader, answer->text);
    int r = reader_u8(reader, &mode);
    if (r >= 0 && mode != DATAPLANE_KERNEL && mode != DATAPLANE_USER)
        r = -EBADMSG;
    answer->mode = mode;
    return r;
}

void answer_encode(Writer *writer, const Answer *answer)
{
    Answer copy = *answer;
    uint64_t *fields[SA_COUNTERS];
    size_t n_fields = answer_fields(&copy, fields);
    writer_u8(writer, REPORT_ANSWER);
    writer_u8(writer, (uint8_t)answer->type);
    writer_u32(writer, answer->number);
    writer_u32(writer, (uint32_t)-answer->error);
    if (answer->type == ORDER_OPEN)
        encode_opened(writer, answer);
    for (size_t i = 0; i < n_fields; i++)
        writer_u64(writer, *fields[i]);
}

void event_encode(Writer *writer, const DataPlaneEvent *event)
{
    writer_u8(writer, REPORT_EVENT);
    writer_u8(writer, (uint8_t)event->type);
    writer_u32(writer, event->spi_in);
}

static int decode_answer(Reader *reader, Answer *answer)
{
    uint8_t type = 0;
    uint32_t error = 0;
    int r = reader_u8(reader, &type);
    if (r >= 0)
        r = reader_u32(reader, &answer->number);
    if (r >= 0)
        r = reader_u32(reader, &error);
    if (r >= 0 && (type == 0 || type >= ORDER_TYPES || error > INT16_MAX))
        r = -EBADMSG;
    if (r < 0)
        return r;
    answer->type = type;
    answer->error = -(int)error;
    if (answer->type == ORDER_OPEN)
        return decode_opened(reader, answer);
    uint64_t *fields[SA_COUNTERS];
    size_t n_fields = answer_fields(answer, fields);
    for (size_t i = 0; i < n_fields && r >= 0; i++)
        r = reader_u64(reader, fields[i]);
    return r;
}

static int decode_event(Reader *reader, DataPlaneEvent *event)
{
    uint8_t type = 0;
    int r = reader_u8(reader, &type);
    if (r >= 0)
        r = reader_u32(reader, &event->spi_in);
    if (r >= 0 && type >= DATAPLANE_EVENT_TYPES)
        r = -EBADMSG;
    event->type = type;
    return r;
}

int report_decode(Bytes message, Report *ret)
{
    Reader reader;
    reader_init(&reader, message);
    Report report = {};
    uint8_t kind = 0;
    int r = reader_u8(&reader, &kind);
    if (r >= 0 && kind == REPORT_ANSWER) {
        r = decode_answer(&reader, &report.answer);
    } else if (r >= 0 && kind == REPORT_EVENT) {
        r = decode_event(&reader, &report.event);
    } else if (r >= 0) {
        r = -EBADMSG;
    }
    if (r >= 0 && reader_left(&reader) > 0)
        r = -EBADMSG;
    if (r >= 0)
        *ret = report;
    return r;
}
