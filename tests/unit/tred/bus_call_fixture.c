#include "bus_call_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

BusCalls bus_calls;

int __wrap_bus_read(sd_bus_message *call, const char *types, ...);
int __wrap_bus_reply(sd_bus_message *call, const char *types, ...);
void __wrap_bus_answer(sd_bus_message *call, int error, const char *reason, const char *types, ...);
const char *__wrap_sd_bus_message_get_member(sd_bus_message *call);

void bus_calls_reset(void)
{
    bus_calls = (BusCalls){0};
    bus_messages_reset(0);
}

int __wrap_bus_read(sd_bus_message *call, const char *types, ...)
{
    size_t number = 0, octets = 0;
    va_list values;

    (void)call;
    if (bus_calls.read_result < 0)
        return bus_calls.read_result;
    va_start(values, types);
    for (; *types != '\0'; types++) {
        switch (*types) {
        case BUS_OCTETS:
            *va_arg(values, Bytes *) = bus_calls.octets[octets++];
            break;
        case 's':
            *va_arg(values, const char **) = bus_calls.string;
            break;
        case 'y':
            *va_arg(values, uint8_t *) = (uint8_t)bus_calls.numbers[number++];
            break;
        case 'q':
            *va_arg(values, uint16_t *) = (uint16_t)bus_calls.numbers[number++];
            break;
        case 't':
            *va_arg(values, uint64_t *) = bus_calls.numbers[number++];
            break;
        default:
            *va_arg(values, uint32_t *) = (uint32_t)bus_calls.numbers[number++];
            break;
        }
    }
    va_end(values);
    return 0;
}

/* Into bus_calls.text. */
static void values_note(const char *types, va_list values)
{
    char *end = bus_calls.text;
    const char *limit = end + sizeof(bus_calls.text);
    Bytes octets;

    *end = '\0';
    for (; *types != '\0'; types++) {
        const size_t room = (size_t)(limit - end);
        int size;

        switch (*types) {
        case BUS_OCTETS:
            octets = va_arg(values, Bytes);
            size = snprintf(end, room, "%.*s ", (int)octets.size, (const char *)octets.data);
            break;
        case 's':
        case 'o':
            size = snprintf(end, room, "%s ", va_arg(values, const char *));
            break;
        case 't':
            size = snprintf(end, room, "%" PRIu64 " ", va_arg(values, uint64_t));
            break;
        default:
            size = snprintf(end, room, "%u ", va_arg(values, unsigned));
            break;
        }
        assert_in_range(size, 1, room - 1);
        end += size;
    }
}

int __wrap_bus_reply(sd_bus_message *call, const char *types, ...)
{
    va_list values;

    (void)call;
    va_start(values, types);
    values_note(types, values);
    va_end(values);
    bus_calls.replies++;
    return bus_calls.reply_result;
}

void __wrap_bus_answer(sd_bus_message *call, int error, const char *reason, const char *types, ...)
{
    va_list values;

    assert_non_null(call);
    va_start(values, types);
    if (error == 0)
        values_note(types, values);
    va_end(values);
    bus_calls.answers++;
    bus_calls.error = error;
    (void)snprintf(bus_calls.reason, sizeof(bus_calls.reason), "%s", reason);
}

const char *__wrap_sd_bus_message_get_member(sd_bus_message *call)
{
    (void)call;
    return "AddChild";
}
