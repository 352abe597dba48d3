/* Writes and reads what tred and tred-tpm say to each other, by one table for both ends. */
#include "device/frames.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum { DELETE = 0x7f, ERRNO_MAX = 4095, RESULT_MAX = 255 };

/* What time_t may be: so far from its end that days can be added and taken away (the year 9999). */
static const uint64_t time_max = 253402300799;

static const char *const state_names[IDENTITY_STATES] = {
    [IDENTITY_LOADING] = "loading",
    [IDENTITY_READY] = "ready",
    [IDENTITY_DEVELOPMENT] = "development",
    [IDENTITY_UNPROVISIONED] = "unprovisioned",
    [IDENTITY_INTEGRITY_FAILED] = "integrity-failed",
    [IDENTITY_TPM_UNAVAILABLE] = "tpm-unavailable",
};

const char *identity_state_name(IdentityState state)
{
    return state_names[state];
}

bool identity_state_serves(IdentityState state)
{
    return state == IDENTITY_READY || state == IDENTITY_DEVELOPMENT;
}

/* How a field stands in its struct. */
typedef enum FieldKind {
    FIELD_BOOL,   /* bool */
    FIELD_U32,    /* uint32_t */
    FIELD_U64,    /* uint64_t */
    FIELD_TIME,   /* time_t, none before 1970 */
    FIELD_RESULT, /* int: 0, a small enum, or -errno */
    FIELD_TEXT,   /* char[maximum], with its zero octet */
    FIELD_VIEW,   /* Bytes, of `maximum` octets at the most */
    FIELD_KEY,    /* DeviceFacts.key and its size */
    FIELD_PCRS,   /* DeviceMismatch.pcrs and their number */
} FieldKind;

typedef struct Field {
    unsigned types; /* 1 << type, of each frame that has it */
    FieldKind kind;
    size_t offset;
    size_t maximum;
} Field;

#define IN(type) (1U << (type))

#define REQUEST(types, kind, member)                                                               \
    {                                                                                              \
        types, kind, offsetof(DeviceRequest, member), sizeof(((DeviceRequest *)NULL)->member)      \
    }
#define ANSWER(types, kind, member)                                                                \
    {                                                                                              \
        types, kind, offsetof(DeviceAnswer, member), sizeof(((DeviceAnswer *)NULL)->member)        \
    }

static const Field request_fields[] = {
    REQUEST(~0U, FIELD_U32, number),
    REQUEST(IN(DEVICE_LOAD), FIELD_U32, pause_ms),
    REQUEST(IN(DEVICE_INSTALL), FIELD_U32, bundle_size),
    REQUEST(IN(DEVICE_ADVANCE), FIELD_TIME, reached),
    REQUEST(IN(DEVICE_ADVANCE), FIELD_U32, correction_days),
    REQUEST(IN(DEVICE_SIGN), FIELD_TEXT, digest_name),
    REQUEST(IN(DEVICE_SIGN), FIELD_BOOL, pss),
    {IN(DEVICE_SIGN), FIELD_VIEW, offsetof(DeviceRequest, digest), DEVICE_DIGEST_SIZE_MAX},
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.tcti),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.srk_name),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.key),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.policy_key),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.pcr_signatures),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.certificates),
    REQUEST(IN(DEVICE_CONFIGURE), FIELD_TEXT, files.anchors),
};

enum { TOLD = IN(DEVICE_LOADED) | IN(DEVICE_SIGNED) | IN(DEVICE_FAILED) };

static const Field answer_fields[] = {
    ANSWER(~0U, FIELD_U32, number),
    ANSWER(~0U, FIELD_RESULT, result),
    ANSWER(~0U, FIELD_TEXT, reason.text),
    ANSWER(~0U, FIELD_BOOL, broken),
    ANSWER(TOLD, FIELD_TEXT, mismatch.bank),
    {TOLD, FIELD_PCRS, offsetof(DeviceAnswer, mismatch), DEVICE_PCRS_MAX},
    {IN(DEVICE_LOADED), FIELD_KEY, offsetof(DeviceAnswer, facts), DEVICE_KEY_SIZE_MAX},
    ANSWER(IN(DEVICE_LOADED), FIELD_TEXT, facts.algorithm),
    ANSWER(IN(DEVICE_LOADED), FIELD_TEXT, facts.policy),
    ANSWER(IN(DEVICE_LOADED), FIELD_U32, facts.pss_salt),
    ANSWER(IN(DEVICE_LOADED), FIELD_U32, facts.ready_seconds),
    ANSWER(IN(DEVICE_LOADED), FIELD_TEXT, facts.development.text),
    ANSWER(IN(DEVICE_LOADED), FIELD_BOOL, facts.anchors_guarded),
    ANSWER(IN(DEVICE_LOADED), FIELD_U64, facts.anchors_version),
    ANSWER(IN(DEVICE_LOADED), FIELD_TIME, facts.last_known),
    ANSWER(IN(DEVICE_INSTALLED), FIELD_BOOL, told),
    ANSWER(IN(DEVICE_INSTALLED), FIELD_U64, version),
    ANSWER(IN(DEVICE_ADVANCED), FIELD_BOOL, moved),
    ANSWER(IN(DEVICE_ADVANCED), FIELD_TIME, last_known),
    {IN(DEVICE_SIGNED), FIELD_VIEW, offsetof(DeviceAnswer, signature), DEVICE_SIGNATURE_SIZE_MAX},
};

static void bytes_write(Writer *writer, Bytes bytes)
{
    writer_u16(writer, (uint16_t)bytes.size);
    writer_bytes(writer, bytes);
}

static bool is_printable(uint8_t octet)
{
    return octet >= ' ' && octet != DELETE;
}

/* What can't be printed is no more than a file's name may bring along. */
static void text_write(Writer *writer, const char *text, size_t maximum)
{
    const size_t size = strnlen(text, maximum - 1);

    writer_u16(writer, (uint16_t)size);
    for (size_t i = 0; i < size; i++)
        writer_u8(writer, is_printable((uint8_t)text[i]) ? (uint8_t)text[i] : '?');
}

static void pcrs_write(Writer *writer, const DeviceMismatch *mismatch)
{
    writer_u8(writer, (uint8_t)mismatch->count);
    for (size_t i = 0; i < mismatch->count; i++) {
        writer_u8(writer, mismatch->pcrs[i].number);
        text_write(writer, mismatch->pcrs[i].expected, DEVICE_PCR_TEXT_SIZE);
        text_write(writer, mismatch->pcrs[i].found, DEVICE_PCR_TEXT_SIZE);
    }
}

/* 0 to RESULT_MAX as they are, -errno behind them. */
static void result_write(Writer *writer, int result)
{
    writer_u16(writer, (uint16_t)(result >= 0 ? result : RESULT_MAX - result));
}

static void field_write(Writer *writer, const Field *field, const uint8_t *at)
{
    const DeviceFacts *facts = (const void *)at;
    const time_t *time = (const void *)at;

    switch (field->kind) {
    case FIELD_BOOL:
        writer_u8(writer, *(const bool *)(const void *)at);
        break;
    case FIELD_U32:
        writer_u32(writer, *(const uint32_t *)(const void *)at);
        break;
    case FIELD_U64:
        writer_u64(writer, *(const uint64_t *)(const void *)at);
        break;
    case FIELD_TIME:
        writer_u64(writer, *time > 0 ? (uint64_t)*time : 0);
        break;
    case FIELD_RESULT:
        result_write(writer, *(const int *)(const void *)at);
        break;
    case FIELD_TEXT:
        text_write(writer, (const char *)at, field->maximum);
        break;
    case FIELD_VIEW:
        bytes_write(writer, *(const Bytes *)(const void *)at);
        break;
    case FIELD_KEY:
        bytes_write(writer, (Bytes){facts->key, facts->key_size});
        break;
    case FIELD_PCRS:
        pcrs_write(writer, (const void *)at);
        break;
    }
}

static int bytes_read(Reader *reader, size_t maximum, Bytes *ret)
{
    uint16_t size;

    if (reader_u16(reader, &size) < 0 || size > maximum)
        return -EBADMSG;
    return reader_take(reader, size, ret);
}

static int text_read(Reader *reader, size_t maximum, char *ret)
{
    Bytes text;

    if (bytes_read(reader, maximum - 1, &text) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_printable(text.data[i]))
            return -EBADMSG;
        ret[i] = (char)text.data[i];
    }
    ret[text.size] = '\0';
    return 0;
}

static int pcrs_read(Reader *reader, DeviceMismatch *ret)
{
    uint8_t count;

    if (reader_u8(reader, &count) < 0 || count > DEVICE_PCRS_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        DevicePcr *pcr = &ret->pcrs[i];

        if (reader_u8(reader, &pcr->number) < 0 || pcr->number >= DEVICE_PCRS_MAX ||
            text_read(reader, DEVICE_PCR_TEXT_SIZE, pcr->expected) < 0 ||
            text_read(reader, DEVICE_PCR_TEXT_SIZE, pcr->found) < 0)
            return -EBADMSG;
    }
    ret->count = count;
    return 0;
}

static int bool_read(Reader *reader, bool *ret)
{
    uint8_t value;

    if (reader_u8(reader, &value) < 0 || value > 1)
        return -EBADMSG;
    *ret = value == 1;
    return 0;
}

static int time_read(Reader *reader, time_t *ret)
{
    uint64_t value;

    if (reader_u64(reader, &value) < 0 || value > time_max)
        return -EBADMSG;
    *ret = (time_t)value;
    return 0;
}

static int result_read(Reader *reader, int *ret)
{
    uint16_t value;

    if (reader_u16(reader, &value) < 0 || value > RESULT_MAX + ERRNO_MAX)
        return -EBADMSG;
    *ret = value <= RESULT_MAX ? (int)value : RESULT_MAX - (int)value;
    return 0;
}

static int key_read(Reader *reader, DeviceFacts *ret)
{
    Bytes key;

    if (bytes_read(reader, DEVICE_KEY_SIZE_MAX, &key) < 0)
        return -EBADMSG;
    bytes_copy(ret->key, key);
    ret->key_size = key.size;
    return 0;
}

static int field_read(Reader *reader, const Field *field, uint8_t *at)
{
    switch (field->kind) {
    case FIELD_BOOL:
        return bool_read(reader, (void *)at);
    case FIELD_U32:
        return reader_u32(reader, (void *)at);
    case FIELD_U64:
        return reader_u64(reader, (void *)at);
    case FIELD_TIME:
        return time_read(reader, (void *)at);
    case FIELD_RESULT:
        return result_read(reader, (void *)at);
    case FIELD_TEXT:
        return text_read(reader, field->maximum, (char *)at);
    case FIELD_VIEW:
        return bytes_read(reader, field->maximum, (void *)at);
    case FIELD_KEY:
        return key_read(reader, (void *)at);
    case FIELD_PCRS:
        return pcrs_read(reader, (void *)at);
    }
    return -EBADMSG;
}

static void frame_write(Writer *writer, const Field *fields, size_t count, unsigned type,
                        const void *from)
{
    writer_u8(writer, (uint8_t)type);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].types & IN(type))
            field_write(writer, &fields[i], (const uint8_t *)from + fields[i].offset);
    }
}

static int frame_read(Bytes frame, const Field *fields, size_t count, unsigned types,
                      unsigned *ret_type, void *ret)
{
    Reader reader;
    uint8_t type;

    reader_init(&reader, frame);
    if (reader_u8(&reader, &type) < 0 || type == 0 || type >= types)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        if ((fields[i].types & IN(type)) &&
            field_read(&reader, &fields[i], (uint8_t *)ret + fields[i].offset) < 0)
            return -EBADMSG;
    }
    *ret_type = type;
    return reader_left(&reader) == 0 ? 0 : -EBADMSG;
}

void device_request_encode(Writer *writer, const DeviceRequest *request)
{
    frame_write(writer, request_fields, ELEMENTS(request_fields), request->type, request);
}

void device_answer_encode(Writer *writer, const DeviceAnswer *answer)
{
    frame_write(writer, answer_fields, ELEMENTS(answer_fields), answer->type, answer);
}

int device_request_decode(Bytes frame, DeviceRequest *ret)
{
    unsigned type = 0;

    *ret = (DeviceRequest){0};
    int r = frame_read(frame, request_fields, ELEMENTS(request_fields), DEVICE_REQUEST_TYPES, &type,
                       ret);
    ret->type = (DeviceRequestType)type;
    return r;
}

/* Whether an answer of its type can have come to that. */
static bool result_is_possible(const DeviceAnswer *answer)
{
    switch (answer->result) {
    case IDENTITY_UNPROVISIONED:
    case IDENTITY_INTEGRITY_FAILED:
    case IDENTITY_TPM_UNAVAILABLE:
        return answer->type == DEVICE_LOADED;
    case DEVICE_E_REFUSED:
    case DEVICE_E_OUTDATED:
        return answer->type == DEVICE_INSTALLED;
    default:
        return answer->result <= 0;
    }
}

int device_answer_decode(Bytes frame, DeviceAnswer *ret)
{
    unsigned type = 0;

    *ret = (DeviceAnswer){0};
    int r =
        frame_read(frame, answer_fields, ELEMENTS(answer_fields), DEVICE_ANSWER_TYPES, &type, ret);
    ret->type = (DeviceAnswerType)type;
    return r == 0 && !result_is_possible(ret) ? -EBADMSG : r;
}
