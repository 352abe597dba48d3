/* D-Bus messages as text, in which any step can fail: the linker puts these functions in the place
 * of sd-bus's (ld --wrap). Messages are numbers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct BusMessages {
    unsigned failing; /* the step that fails with -EIO, from 1; 0: none */
    unsigned step;    /* how many there were */
    bool is_closed;   /* the bus */
    unsigned sent;
    unsigned depth; /* containers that are open */
    unsigned references;
    char destination[32];
    char text[4096]; /* what was appended */
} BusMessages;

extern BusMessages bus_messages;

void bus_messages_reset(unsigned failing);

/* One step more: 0 or -EIO. */
int bus_message_step(void);

/* printf() to the end of the text. */
void bus_message_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A message that nobody looks into. */
sd_bus_message *bus_message_number(uintptr_t number);
