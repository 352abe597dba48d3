/* Reads answers and events of tred-net and tred-esp, and checks them whole: tred does that. */
#include "dataplane/report_internal.h"

#include "base/reason.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* The text is shown to people: no control characters. */
static int decode_text(Reader *reader, Reason *ret)
{
    uint16_t size = 0;
    Bytes text = {};
    int r = reader_u16(reader, &size);
    if (r >= 0 && size >= sizeof(ret->text))
        r = -EBADMSG;
    if (r >= 0)
        r = reader_take(reader, size, &text);
    for (size_t i = 0; r >= 0 && i < text.size; i++) {
        if (!isprint(text.data[i]))
            r = -EBADMSG;
    }
    if (r >= 0 && text.size > 0)
        memcpy(ret->text, text.data, text.size);
    return r;
}

static int decode_opened(Reader *reader, Answer *answer)
{
    uint8_t mode = 0;
    int r = reader_u8(reader, &mode);
    if (r >= 0 && mode != DATAPLANE_KERNEL && mode != DATAPLANE_USER)
        r = -EBADMSG;
    answer->mode = mode;
    return r;
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
    if (answer->error != 0)
        return decode_text(reader, &answer->reason);
    if (answer->type == ORDER_OPEN)
        return decode_opened(reader, answer);
    uint64_t *fields[ANSWER_FIELDS_MAX];
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
