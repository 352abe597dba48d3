#include "bus_message_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

BusMessages bus_messages;

int __wrap_sd_bus_is_open(sd_bus *bus);
int __wrap_sd_bus_message_new_signal(sd_bus *bus, sd_bus_message **ret, const char *path,
                                     const char *interface, const char *member);
int __wrap_sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret);
int __wrap_sd_bus_message_set_destination(sd_bus_message *message, const char *destination);
int __wrap_sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents);
int __wrap_sd_bus_message_close_container(sd_bus_message *message);
int __wrap_sd_bus_message_append(sd_bus_message *message, const char *types, ...);
int __wrap_sd_bus_message_appendv(sd_bus_message *message, const char *types, va_list values);
int __wrap_sd_bus_message_append_array(sd_bus_message *message, char type, const void *data,
                                       size_t size);
int __wrap_sd_bus_message_send(sd_bus_message *message);
sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *message);
sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *message);

void bus_messages_reset(unsigned failing)
{
    bus_messages = (BusMessages){.failing = failing};
}

int bus_message_step(void)
{
    return ++bus_messages.step == bus_messages.failing ? -EIO : 0;
}

__attribute__((format(printf, 1, 0))) static void write_values(const char *format, va_list values)
{
    const size_t size = strlen(bus_messages.text);

    (void)vsnprintf(bus_messages.text + size, sizeof(bus_messages.text) - size, format, values);
}

void bus_message_write(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    write_values(format, values);
    va_end(values);
}

sd_bus_message *bus_message_number(uintptr_t number)
{
    return (sd_bus_message *)number; /* NOLINT(performance-no-int-to-ptr): nobody looks into it */
}

int __wrap_sd_bus_is_open(sd_bus *bus)
{
    (void)bus;
    return !bus_messages.is_closed;
}

int __wrap_sd_bus_message_new_signal(sd_bus *bus, sd_bus_message **ret, const char *path,
                                     const char *interface, const char *member)
{
    (void)bus, (void)interface;
    bus_message_write("%s %s ", path, member);
    *ret = bus_message_number(99);
    bus_messages.references++;
    return bus_message_step();
}

int __wrap_sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret)
{
    (void)call;
    *ret = bus_message_number(99);
    bus_messages.references++;
    return bus_message_step();
}

int __wrap_sd_bus_message_set_destination(sd_bus_message *message, const char *destination)
{
    (void)message;
    (void)snprintf(bus_messages.destination, sizeof(bus_messages.destination), "%s", destination);
    return bus_message_step();
}

int __wrap_sd_bus_message_open_container(sd_bus_message *message, char type, const char *contents)
{
    (void)message;
    bus_message_write("%c%s[", type, contents);
    bus_messages.depth++;
    return bus_message_step();
}

int __wrap_sd_bus_message_close_container(sd_bus_message *message)
{
    (void)message;
    assert_true(bus_messages.depth > 0);
    bus_messages.depth--;
    bus_message_write("]");
    return bus_message_step();
}

/* Basic types, variants of these, and arrays of strings. */
int __wrap_sd_bus_message_appendv(sd_bus_message *message, const char *types, va_list values)
{
    (void)message;
    for (; *types != '\0'; types++) {
        switch (*types == 'v' ? *va_arg(values, const char *) : *types) {
        case 's':
        case 'o':
            bus_message_write("%s ", va_arg(values, const char *));
            break;
        case 't':
            bus_message_write("%" PRIu64 " ", va_arg(values, uint64_t));
            break;
        case 'a':
            types++;
            for (unsigned n = va_arg(values, unsigned); n > 0; n--)
                bus_message_write("%s ", va_arg(values, const char *));
            break;
        case 'u':
        case 'b':
        case 'q':
        case 'y':
            bus_message_write("%u ", va_arg(values, unsigned));
            break;
        default: /* braces */
            break;
        }
    }
    return bus_message_step();
}

int __wrap_sd_bus_message_append(sd_bus_message *message, const char *types, ...)
{
    va_list values;

    va_start(values, types);
    int r = __wrap_sd_bus_message_appendv(message, types, values);
    va_end(values);
    return r;
}

int __wrap_sd_bus_message_append_array(sd_bus_message *message, char type, const void *data,
                                       size_t size)
{
    (void)message, (void)type;
    bus_message_write("%.*s ", (int)size, (const char *)data);
    return bus_message_step();
}

int __wrap_sd_bus_message_send(sd_bus_message *message)
{
    (void)message;
    bus_messages.sent++;
    return bus_message_step();
}

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *message)
{
    bus_messages.references++;
    return message;
}

sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *message)
{
    if (message) {
        assert_true(bus_messages.references > 0);
        bus_messages.references--;
    }
    return NULL;
}
